//! What must hold once everything is quiet: one view per database that must be empty.

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::history::Logs;
use crate::provider::Movement;
use crate::system::Database;

const SIDE_TABLES: &str = include_str!("invariants/side_tables.sql");
const COMMON: &str = include_str!("invariants/common.sql");

/// The databases that have a view.
pub(crate) const CHECKED: [Database; 5] =
    [Database::Accounts, Database::Agenda, Database::Catalog, Database::Notifications, Database::Orders];

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: String,
    pub(crate) what: String,
}

/// What the checker knows that no database does.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) logs: Logs,
    pub(crate) movements: Vec<Movement>,
    /// Ids of events whose purges are on the log.
    pub(crate) purged: Vec<uuid::Uuid>,
    /// What is shown for a product, and by whom.
    pub(crate) shown: Vec<(String, i64, i64)>,
}

/// Makes the side tables and the view.
pub(crate) async fn install(connection: &mut PgConnection, database: Database) -> Result<()> {
    let own = match database {
        Database::Accounts => include_str!("invariants/accounts.sql"),
        Database::Agenda => include_str!("invariants/agenda.sql"),
        Database::Catalog => include_str!("invariants/catalog.sql"),
        Database::Notifications => include_str!("invariants/notifications.sql"),
        Database::Orders => include_str!("invariants/orders.sql"),
        Database::Invalidator => "",
    };
    let common = COMMON.replace("SCHEMA", database.schema());
    let view = format!(
        "{SIDE_TABLES}; DROP VIEW IF EXISTS chk.violations; CREATE VIEW chk.violations AS {common} {own}"
    );
    sqlx::raw_sql(AssertSqlSafe(view))
        .execute(connection)
        .await
        .with_context(|| format!("cannot make the view of {}", database.schema()))?;
    Ok(())
}

/// Remembers the stock before a run.
pub(crate) async fn remember_stock(orders: &mut PgConnection) -> Result<()> {
    sqlx::raw_sql(
        "TRUNCATE chk.stock0;
         INSERT INTO chk.stock0
         SELECT variant_id, on_hand, reserved, coalesce((SELECT max(id) FROM orders.stock_movements), 0)
           FROM orders.stock_levels",
    )
    .execute(orders)
    .await
    .context("cannot remember the stock")?;
    Ok(())
}

/// Everything in the view.
pub(crate) async fn violations(connection: &mut PgConnection) -> Result<Vec<Violation>> {
    let rows: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT inv, what FROM chk.violations ORDER BY 1, 2")
            .fetch_all(connection)
            .await
            .context("cannot look for violations")?;
    let violation =
        |(invariant, what): (String, Option<String>)| Violation { invariant, what: what.unwrap_or_default() };
    Ok(rows.into_iter().map(violation).collect())
}

/// Puts what the checker knows into the side tables, in place of what it knew before.
pub(crate) async fn load(connection: &mut PgConnection, evidence: &Evidence) -> Result<()> {
    sqlx::raw_sql("TRUNCATE chk.prov, chk.hist, chk.applied, chk.acks, chk.reads, chk.cache, chk.seen")
        .execute(&mut *connection)
        .await?;
    load_movements(connection, &evidence.movements).await?;
    load_operations(connection, &evidence.logs).await?;
    load_reads(connection, evidence).await?;
    sqlx::query("INSERT INTO chk.applied SELECT DISTINCT id FROM unnest($1::uuid[]) AS id")
        .bind(&evidence.purged)
        .execute(&mut *connection)
        .await?;
    let seen = &evidence.logs.sights;
    sqlx::query(
        "INSERT INTO chk.seen SELECT DISTINCT v, r, o FROM unnest($1::text[], $2::text[], $3::text[]) AS u (v, r, o)",
    )
    .bind(seen.iter().map(|sight| sight.viewer.clone()).collect::<Vec<_>>())
    .bind(seen.iter().map(|sight| sight.route.clone()).collect::<Vec<_>>())
    .bind(seen.iter().map(|sight| sight.owner.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn load_movements(connection: &mut PgConnection, movements: &[Movement]) -> Result<()> {
    sqlx::query(
        "INSERT INTO chk.prov SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])",
    )
    .bind(movements.iter().map(|movement| movement.charge.clone()).collect::<Vec<_>>())
    .bind(movements.iter().map(|movement| movement.order).collect::<Vec<_>>())
    .bind(movements.iter().map(|movement| movement.kind.to_owned()).collect::<Vec<_>>())
    .bind(movements.iter().map(|movement| movement.amount).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn load_operations(connection: &mut PgConnection, logs: &Logs) -> Result<()> {
    let operations = &logs.operations;
    sqlx::query(
        "INSERT INTO chk.hist
         SELECT op, kind, nullif(key, ''), outcome, http, nullif(order_id, 0), nullif(body, '')
           FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::text[])
                WITH ORDINALITY AS u (kind, key, outcome, http, order_id, body, op)",
    )
    .bind(operations.iter().map(|op| op.kind.to_owned()).collect::<Vec<_>>())
    .bind(operations.iter().map(|op| op.key.clone().unwrap_or_default()).collect::<Vec<_>>())
    .bind(operations.iter().map(|op| op.outcome.name().to_owned()).collect::<Vec<_>>())
    .bind(operations.iter().map(|op| i32::from(op.status)).collect::<Vec<_>>())
    .bind(operations.iter().map(|op| op.order.unwrap_or_default()).collect::<Vec<_>>())
    .bind(operations.iter().map(|op| op.body_sha256.clone().unwrap_or_default()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn load_reads(connection: &mut PgConnection, evidence: &Evidence) -> Result<()> {
    let reads = &evidence.logs.reads;
    sqlx::query(
        "INSERT INTO chk.reads SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::float8[], $5::float8[])",
    )
    .bind(reads.iter().map(|read| read.reader.clone()).collect::<Vec<_>>())
    .bind(reads.iter().map(|read| read.product).collect::<Vec<_>>())
    .bind(reads.iter().map(|read| read.amount).collect::<Vec<_>>())
    .bind(reads.iter().map(|read| read.begun).collect::<Vec<_>>())
    .bind(reads.iter().map(|read| read.ended).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    let acks = &evidence.logs.repriced;
    sqlx::query("INSERT INTO chk.acks SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::float8[])")
        .bind(acks.iter().map(|ack| ack.0).collect::<Vec<_>>())
        .bind(acks.iter().map(|ack| ack.1).collect::<Vec<_>>())
        .bind(acks.iter().map(|ack| ack.2).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO chk.cache SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])")
        .bind(evidence.shown.iter().map(|shown| shown.0.clone()).collect::<Vec<_>>())
        .bind(evidence.shown.iter().map(|shown| shown.1).collect::<Vec<_>>())
        .bind(evidence.shown.iter().map(|shown| shown.2).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
