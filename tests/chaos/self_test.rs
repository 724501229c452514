//! The checker is checked: on good data it finds nothing, and every violation that is planted is found.

mod plants;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::commands::sweep::points;
use crate::invariants::{self, CHECKED};
use crate::system::Database;
use crate::{plan, report};

const PATIENCE: Duration = Duration::from_secs(20);

/// Constraints would not let most violations in.
const LOOSEN: &str = "
    DO $$
    DECLARE r record;
    BEGIN
        FOR r IN SELECT c.conrelid::regclass AS table_name, c.conname FROM pg_constraint c
                  WHERE c.connamespace = 'SCHEMA'::regnamespace AND c.conrelid <> 0 AND c.contype IN ('c', 'f', 'u', 'x')
                  ORDER BY c.contype = 'u' LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', r.table_name, r.conname);
        END LOOP;
        FOR r IN SELECT i.indexrelid::regclass AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                  WHERE c.relnamespace = 'SCHEMA'::regnamespace AND i.indisunique AND NOT i.indisprimary LOOP
            EXECUTE format('DROP INDEX %s', r.name);
        END LOOP;
    END $$";

/// Answers how many violations were missed.
pub(crate) async fn run() -> Result<usize> {
    plan::check().context("plans")?;
    points::check().context("failpoints")?;
    let mut missed = 0;
    let mut caught = 0;
    for database in CHECKED {
        let scratch = testkit::database(database.schema(), database.migrator()).await;
        if database == Database::Catalog {
            catalog::seed::load(&scratch.url, 3, |_| {}).await?;
        }
        let mut connection = scratch.admin().await;
        invariants::install(&mut connection, database).await?;
        connection.execute(AssertSqlSafe(plants::good(database))).await.context("good data")?;
        let found = invariants::violations(&mut connection).await?;
        ensure!(found.is_empty(), "good data of {} is blamed: {found:?}", database.schema());
        let loosen = LOOSEN.replace("SCHEMA", database.schema());
        connection.execute(AssertSqlSafe(loosen)).await.context("taking constraints away")?;
        for (expected, plant) in plants::of(database) {
            match is_caught(&mut connection, expected, plant)
                .await
                .with_context(|| format!("planting {expected}: {plant}"))?
            {
                Caught::Yes => caught += 1,
                Caught::No(found) => {
                    missed += 1;
                    report::say(&format!(
                        "MISSED in {}: {expected}, planted by {plant}\n  found {found}",
                        database.schema()
                    ));
                }
            }
        }
        if database == Database::Orders {
            let other = scratch.admin().await;
            leaked_transaction(&mut connection, other).await?;
            deadlock(&mut connection, scratch.admin().await, scratch.admin().await).await?;
            caught += 2;
        }
    }
    report::say(&format!("{caught} planted violations caught, {missed} missed"));
    Ok(missed)
}

enum Caught {
    Yes,
    No(String),
}

async fn is_caught(connection: &mut PgConnection, expected: &str, plant: &'static str) -> Result<Caught> {
    let mut transaction = connection.begin().await?;
    transaction.execute(plant).await?;
    let found = invariants::violations(&mut transaction).await?;
    transaction.rollback().await?;
    let is_found = found.iter().any(|violation| violation.invariant.starts_with(expected));
    Ok(if is_found { Caught::Yes } else { Caught::No(format!("{found:?}")) })
}

/// A session that has begun something and sits on it.
async fn leaked_transaction(connection: &mut PgConnection, mut other: PgConnection) -> Result<()> {
    other.execute("BEGIN; SELECT 1").await?;
    wait_for(connection, "I30").await?;
    other.execute("ROLLBACK").await?;
    Ok(())
}

/// Two sessions that wait for each other.
async fn deadlock(
    connection: &mut PgConnection,
    mut one: PgConnection,
    mut other: PgConnection,
) -> Result<()> {
    connection
        .execute(
            "CREATE TABLE chk.knot (id int PRIMARY KEY, n int); INSERT INTO chk.knot VALUES (1, 0), (2, 0)",
        )
        .await?;
    for (session, id) in [(&mut one, "1"), (&mut other, "2")] {
        session.execute("SET deadlock_timeout = '50ms'; BEGIN").await?;
        let statement = format!("UPDATE chk.knot SET n = n + 1 WHERE id = {id}");
        session.execute(AssertSqlSafe(statement)).await?;
    }
    let (ended, other_ended) = tokio::join!(
        one.execute("UPDATE chk.knot SET n = n + 1 WHERE id = 2; COMMIT"),
        other.execute("UPDATE chk.knot SET n = n + 1 WHERE id = 1; COMMIT"),
    );
    ensure!(ended.is_err() != other_ended.is_err(), "one of two that wait for each other must fail");
    // A session tells its counts when it ends, at the latest.
    one.close().await?;
    other.close().await?;
    wait_for(connection, "deadlock").await
}

async fn wait_for(connection: &mut PgConnection, expected: &str) -> Result<()> {
    testkit::eventually(PATIENCE, expected, async || {
        let found = invariants::violations(connection).await.ok()?;
        found.iter().any(|violation| violation.invariant.starts_with(expected)).then_some(())
    })
    .await;
    Ok(())
}
