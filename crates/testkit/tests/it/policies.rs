//! A guarded schema passes, and every kind of hole is found.

use sqlx::migrate::Migrator;
use testkit::TestDatabase;
use testkit::policies::{Params, Report, tables, walk};

static MIGRATOR: Migrator = sqlx::migrate!("tests/it/guarded_migrations");

const STATEMENTS: [(&str, &str); 6] = [
    ("ONE", "SELECT id, text FROM secrets WHERE id = $1"),
    ("COUNT", "SELECT count(*) FROM secrets"),
    ("PAGE", "SELECT id FROM secrets ORDER BY id LIMIT $1 OFFSET $2"),
    ("CHANGE", "UPDATE secrets SET text = $2 WHERE id = $1 RETURNING id"),
    ("REMOVE", "DELETE FROM secrets WHERE id = $1"),
    ("ADD", "INSERT INTO secrets (id, user_id, text) VALUES ($1 + 1, $1, $2)"),
];

/// User 7 has a secret.
async fn vault() -> TestDatabase {
    let database = testkit::database("vault", &MIGRATOR).await;
    behind_its_back(&database, "INSERT INTO vault.secrets VALUES (7, 7, 'gold')").await;
    database
}

async fn behind_its_back(database: &TestDatabase, sql: &'static str) {
    let done = sqlx::raw_sql(sql).execute(&mut database.admin().await).await;
    done.expect("the superuser may");
}

async fn walked(database: &TestDatabase, statements: &[(&str, &str)]) -> Report {
    walk(database, "vault", statements.iter().copied(), &Params::new(7, 8)).await
}

#[tokio::test]
async fn what_is_guarded_passes_and_is_proven() {
    let database = vault().await;
    tables(&database, "vault").await;
    let report = walked(&database, &STATEMENTS).await;
    report.all_proven_but(&[]);
    assert!(report.proven.values().all(|role| *role == "mc_user"), "{report:?}");
    assert_eq!(report.proven.len(), STATEMENTS.len());
}

#[tokio::test]
async fn a_statement_that_finds_nothing_proves_nothing() {
    let database = vault().await;
    let report = walked(&database, &[("NEVER", "SELECT id FROM secrets WHERE id < 0")]).await;
    assert!(report.proven.is_empty(), "{report:?}");
    assert!(report.unproven["NEVER"].contains("mc_user finds nothing"), "{report:?}");
    report.all_proven_but(&["NEVER"]);
}

/// What is said about `database` after `hole` was made.
async fn said_after(hole: &'static str, look: impl AsyncFnOnce(&TestDatabase)) -> String {
    let database = vault().await;
    behind_its_back(&database, hole).await;
    let looked = std::panic::AssertUnwindSafe(look(&database));
    let panic = futures_util::FutureExt::catch_unwind(looked).await.expect_err(hole);
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[tokio::test]
async fn every_hole_in_a_policy_is_found_by_the_statements() {
    for (hole, leak) in [
        (
            "CREATE POLICY hole ON vault.secrets FOR SELECT TO mc_user USING (true)",
            "ONE: 1 rows for Role(\"mc_user\"",
        ),
        (
            "CREATE POLICY hole ON vault.secrets TO mc_user USING (true)",
            "REMOVE: 1 rows for Role(\"mc_user\"",
        ),
        (
            "CREATE POLICY hole ON vault.secrets FOR INSERT TO mc_user WITH CHECK (true)",
            "ADD: 1 rows for Role(\"mc_user\"",
        ),
        (
            "CREATE POLICY hole ON vault.secrets TO mc_anon USING (true); GRANT SELECT ON vault.secrets TO mc_anon",
            "COUNT: 1 rows for Role(\"mc_anon\"",
        ),
        ("ALTER TABLE vault.secrets DISABLE ROW LEVEL SECURITY", "CHANGE: 1 rows for Role(\"mc_user\""),
    ] {
        let said = said_after(hole, async |database| drop(walked(database, &STATEMENTS).await)).await;
        assert!(said.contains(leak), "{hole}: {said}");
    }
}

#[tokio::test]
async fn every_way_around_the_policies_is_found_by_the_tables() {
    for (hole, complaint) in [
        ("ALTER TABLE vault.secrets DISABLE ROW LEVEL SECURITY", "has no row level security"),
        ("ALTER TABLE vault.secrets NO FORCE ROW LEVEL SECURITY", "is not forced on its owner"),
        ("ALTER TABLE vault.secrets OWNER TO postgres", "vault.secrets"),
        ("CREATE TABLE vault.open (x int)", "has no row level security"),
        ("CREATE VIEW vault.hole AS TABLE vault.secrets", "views that show what their owner sees"),
        (
            "CREATE MATERIALIZED VIEW vault.hole AS TABLE vault.secrets",
            "views that show what their owner sees",
        ),
        (
            "CREATE FUNCTION vault.hole() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM vault.secrets'",
            "functions that run as their owner",
        ),
        ("GRANT TRUNCATE ON vault.secrets TO mc_user", "mc_user may TRUNCATE vault.secrets"),
        ("GRANT CREATE ON SCHEMA vault TO mc_service", "mc_service may CREATE"),
        (
            "GRANT USAGE ON SCHEMA vault TO PUBLIC; GRANT SELECT ON vault.secrets TO PUBLIC",
            "the login without a role may SELECT",
        ),
    ] {
        let said = said_after(hole, async |database| tables(database, "vault").await).await;
        assert!(said.contains(complaint), "{hole}: {said}");
    }
}
