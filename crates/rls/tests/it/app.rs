//! A service with one table, to have something to protect.

use std::time::Duration;

use rls::{BoxFuture, Caller, Class, Committed, Database, DatabaseConfig, DatabaseError, Tx, UserId};
use testkit::TestDatabase;

pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("tests/it/migrations");

pub(crate) const ALICE: Caller = Caller::User(UserId(1));
pub(crate) const BOB: Caller = Caller::User(UserId(2));
/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct TestApp {
    pub(crate) database: TestDatabase,
    pub(crate) db: Database,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        let database = testkit::database("notes", &MIGRATOR).await;
        let db = connect(&database.url).await;
        Self { database, db }
    }

    /// Writes note `id` as `caller`; its owner is whoever the database thinks is calling.
    pub(crate) async fn write(&self, caller: Caller, id: i64) -> Result<Committed<()>, DatabaseError> {
        write(&self.db, caller, id).await
    }

    /// The ids `caller` can see.
    pub(crate) async fn read(&self, caller: Caller) -> Result<Vec<i64>, DatabaseError> {
        let ids = self.db.run(&caller, Class::Read, PATIENCE, |tx| {
            Box::pin(async move {
                let ids = sqlx::query_scalar("SELECT id FROM notes ORDER BY id")
                    .fetch_all(&mut *tx.statement("SELECT notes"))
                    .await?;
                Ok::<_, DatabaseError>(ids)
            })
        });
        Ok(ids.await?.value)
    }

    /// What is really there, policies or not: ids with their owners.
    pub(crate) async fn truth(&self) -> Vec<(i64, i64)> {
        sqlx::query_as("SELECT id, user_id FROM notes.notes ORDER BY id")
            .fetch_all(&mut self.database.admin().await)
            .await
            .expect("the superuser sees everything")
    }

    /// Sessions of the service that are inside a transaction without doing anything.
    pub(crate) async fn open_transactions(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state LIKE 'idle in transaction%'",
        )
        .bind(&self.database.name)
        .fetch_one(&mut self.database.admin().await)
        .await
        .expect("the superuser sees everything")
    }
}

pub(crate) async fn connect(url: &str) -> Database {
    let mut config = DatabaseConfig::new(url);
    config.pool_size = 4;
    // The machine that tests may be busy; what waits for 250 ms has a test of its own.
    config.acquire_timeout = PATIENCE;
    Database::connect(&config).await.expect("the test database is there")
}

pub(crate) async fn write(db: &Database, caller: Caller, id: i64) -> Result<Committed<()>, DatabaseError> {
    db.run(&caller, Class::Write, PATIENCE, move |tx| insert(tx, id)).await
}

pub(crate) fn insert(tx: &mut Tx, id: i64) -> BoxFuture<'_, Result<(), DatabaseError>> {
    Box::pin(async move {
        sqlx::query("INSERT INTO notes (id, text) VALUES ($1, 'a note')")
            .bind(id)
            .execute(&mut *tx.statement("INSERT note"))
            .await?;
        Ok(())
    })
}
