//! The statements on `audit_chain`, found through the search path like outbox and inbox.

use rls::Tx;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::chain::Link;

/// Keys of the advisory lock under which one chain grows; locks are per database, hence per service.
const LOCK: (i32, i32) = (0x6d63_0002, 0);

rls::statements! {
    /// One after the other: each entry names the one before it.
    APPENDING = "SELECT pg_advisory_xact_lock($1, $2)";

    /// The end of the chain. A statement of its own, after the lock: it must see what the last holder committed.
    LAST = "SELECT id, sha256 FROM audit_chain ORDER BY id DESC LIMIT 1";

    /// One more entry.
    APPEND = "INSERT INTO audit_chain
            (id, at, actor_id, actor_role, action, entity, entity_id, before, after, request_id, prev_sha256, sha256)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::json, $9::text::json, $10, $11, $12)";

    /// Entries after one, in order.
    AFTER = "SELECT id, at, actor_id, actor_role, action, entity, entity_id, before::text AS before,
               after::text AS after, request_id, prev_sha256, sha256
          FROM audit_chain WHERE id > $1 ORDER BY id LIMIT $2";

    /// Who may read the log.
    ROLE = "SET ROLE mc_service";

    /// Whether this service has a log at all.
    EXISTS = "SELECT to_regclass('audit_chain') IS NOT NULL";
}

pub(crate) async fn lock(tx: &mut Tx) -> Result<(), sqlx::Error> {
    sqlx::query(APPENDING).bind(LOCK.0).bind(LOCK.1).execute(&mut *tx.statement("SELECT audit lock")).await?;
    Ok(())
}

pub(crate) async fn last(tx: &mut Tx) -> Result<Option<(i64, [u8; 32])>, sqlx::Error> {
    let row = sqlx::query(LAST).fetch_optional(&mut *tx.statement("SELECT audit_chain last")).await?;
    row.map(|row| Ok((row.try_get("id")?, row.try_get("sha256")?))).transpose()
}

pub(crate) async fn insert(tx: &mut Tx, link: &Link, sha256: [u8; 32]) -> Result<(), sqlx::Error> {
    sqlx::query(APPEND)
        .bind(link.id)
        .bind(link.at)
        .bind(link.actor_id)
        .bind(&link.actor_role)
        .bind(&link.action)
        .bind(&link.entity)
        .bind(&link.entity_id)
        .bind(&link.before)
        .bind(&link.after)
        .bind(&link.request_id)
        .bind(link.prev_sha256)
        .bind(sha256)
        .execute(&mut *tx.statement("INSERT audit_chain"))
        .await?;
    Ok(())
}

/// A row of the chain, and the hash that it states of itself.
pub(crate) async fn after(
    connection: &mut PgConnection,
    id: i64,
    limit: i64,
) -> Result<Vec<(Link, [u8; 32])>, sqlx::Error> {
    let rows = sqlx::query(AFTER).bind(id).bind(limit).fetch_all(connection).await?;
    rows.iter().map(link).collect()
}

/// A service's login has no rights of its own.
pub(crate) async fn become_service(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(ROLE).execute(connection).await?;
    Ok(())
}

pub(crate) async fn exists(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(EXISTS).fetch_one(connection).await
}

fn link(row: &PgRow) -> Result<(Link, [u8; 32]), sqlx::Error> {
    let link = Link {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        actor_id: row.try_get("actor_id")?,
        actor_role: row.try_get("actor_role")?,
        action: row.try_get("action")?,
        entity: row.try_get("entity")?,
        entity_id: row.try_get("entity_id")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
        request_id: row.try_get("request_id")?,
        prev_sha256: row.try_get("prev_sha256")?,
    };
    Ok((link, row.try_get("sha256")?))
}
