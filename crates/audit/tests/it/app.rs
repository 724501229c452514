//! A service that has nothing but its audit log.

use std::time::Duration;

use audit::{Entry, Head, Verified, VerifyError, record};
use rls::{Caller, Class, Database, DatabaseConfig, DatabaseError, UserId};
use serde_json::json;
use sqlx::AssertSqlSafe;
use testkit::TestDatabase;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("tests/it/migrations");

pub(crate) const ADMIN: Caller = Caller::Admin(UserId(7));
/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestApp {
    pub(crate) database: TestDatabase,
    pub(crate) db: Database,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        let database = testkit::database("watch", &MIGRATOR).await;
        let mut config = DatabaseConfig::new(&database.url);
        config.acquire_timeout = PATIENCE;
        let db = Database::connect(&config).await.expect("the test database is there");
        Self { database, db }
    }

    pub(crate) async fn record(&self, caller: Caller, entry: Entry) -> Result<(), DatabaseError> {
        let recorded = self.db.run(&caller, Class::Write, PATIENCE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(record(tx, &entry).await?) })
        });
        recorded.await?;
        Ok(())
    }

    /// A chain of `rows` entries, of orders 1, 2, …
    pub(crate) async fn with_rows(rows: i64) -> Self {
        let app = Self::start().await;
        for order in 1..=rows {
            app.record(ADMIN, shipped(order)).await.expect("recorded");
        }
        app
    }

    pub(crate) async fn verify(&self, kept: Option<Head>) -> Result<Verified, VerifyError> {
        let mut connection = audit::connect(&self.database.url).await.expect("the service's login");
        audit::verify(&mut connection, kept).await.map(|log| log.expect("there is a log"))
    }

    /// Behind everybody's back.
    pub(crate) async fn as_superuser(&self, sql: &str) {
        let done =
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.database.admin().await).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

pub(crate) fn shipped(order: i64) -> Entry {
    Entry {
        actor: ADMIN,
        action: "order.status_changed",
        entity: "order",
        entity_id: order.to_string(),
        before: Some(json!({ "status": "paid", "note": "até já" })),
        after: Some(json!({ "status": "shipped", "note": null })),
        request_id: "r-1".to_owned(),
    }
}
