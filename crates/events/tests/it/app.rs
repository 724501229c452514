//! A service that has nothing but events.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use events::{Event, Fact, PriceChanged, Relay, RelayConfig, record, streams};
use rls::{Caller, Class, Database, DatabaseConfig, DatabaseError, UserId};
use testkit::{Nats, TestDatabase, eventually};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("tests/it/migrations");

pub(crate) const ADMIN: Caller = Caller::Admin(UserId(7));
/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestApp {
    pub(crate) database: TestDatabase,
    pub(crate) db: Database,
    pub(crate) nats: Nats,
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
}

/// A running relay, as one replica of the service has.
pub(crate) struct Replica {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the relay does not panic");
    }

    /// As a crash would: nothing is finished, nothing is given back.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.expect_err("aborted").is_cancelled());
    }
}

/// One message of the stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) seq: u64,
    pub(crate) subject: String,
    pub(crate) event: Event,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
}

impl TestApp {
    /// Without streams and without a relay.
    pub(crate) async fn bare() -> Self {
        let (database, nats) =
            tokio::join!(Box::pin(testkit::database("ledger", &MIGRATOR)), Box::pin(Nats::start()));
        let db = database_of(&database).await;
        let client = bootstrap::nats::connect(&nats.url(), "test").await.expect("an address");
        let jetstream = jetstream::new(client.clone());
        Self { database, db, nats, client, jetstream }
    }

    pub(crate) async fn start() -> Self {
        let app = Self::bare().await;
        app.declare().await;
        app
    }

    pub(crate) async fn declare(&self) {
        eventually(PATIENCE, "streams are declared", async || {
            streams::declare(&self.jetstream, 1).await.ok()
        })
        .await;
    }

    /// Another replica with a relay and connections of its own.
    pub(crate) async fn replica(&self) -> Replica {
        let db = database_of(&self.database).await;
        self.relay_of(db).await
    }

    /// The relay in the process that writes: commits wake it.
    pub(crate) async fn relay(&self) -> Replica {
        self.relay_of(self.db.clone()).await
    }

    /// A replica whose way to the database is `url`, through a proxy for instance.
    pub(crate) async fn replica_at(&self, url: &str) -> Replica {
        self.relay_over(connect(url).await, url).await
    }

    async fn relay_of(&self, db: Database) -> Replica {
        self.relay_over(db, &self.database.url).await
    }

    async fn relay_over(&self, db: Database, database_url: &str) -> Replica {
        let client = bootstrap::nats::connect(&self.nats.url(), "relay").await.expect("an address");
        let config =
            RelayConfig { service: "ledger", database_url: database_url.to_owned(), stream_replicas: 1 };
        let stop = CancellationToken::new();
        let task = tokio::spawn(Relay::new(config, db, client).run(stop.clone()));
        Replica { stop, task }
    }

    /// Commits version `version` of price `variant` and answers the event's id.
    pub(crate) async fn change_price(&self, variant: i64, version: i64) -> Uuid {
        self.try_change_price(variant, version).await.expect("the event is recorded")
    }

    pub(crate) async fn try_change_price(&self, variant: i64, version: i64) -> Result<Uuid, DatabaseError> {
        self.record(price_changed(variant, version)).await
    }

    pub(crate) async fn record(&self, event: Event) -> Result<Uuid, DatabaseError> {
        let id = event.id();
        let recorded = self.db.run(&ADMIN, Class::Write, PATIENCE, move |tx| {
            Box::pin(async move {
                record(tx, &event).await?;
                Ok::<_, DatabaseError>(())
            })
        });
        recorded.await?;
        Ok(id)
    }

    /// Everything on the stream, oldest first.
    pub(crate) async fn stored(&self) -> Option<Vec<Stored>> {
        let stream = self.jetstream.get_stream(streams::MUTATIONS).await.ok()?;
        let state = &stream.cached_info().state;
        let mut stored = Vec::new();
        for seq in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(seq).await.ok()?;
            let texts =
                |values: &Vec<async_nats::HeaderValue>| values.iter().map(ToString::to_string).collect();
            let headers =
                message.headers.iter().map(|(name, values)| (name.to_string(), texts(values))).collect();
            stored.push(Stored {
                seq,
                subject: message.subject.to_string(),
                event: Event::decode(&message.payload).expect("our relay publishes events"),
                headers,
            });
        }
        Some(stored)
    }

    /// Waits until the stream holds exactly the events of `ids`, in any order, and answers them.
    pub(crate) async fn holds(&self, ids: &[Uuid]) -> Vec<Stored> {
        let mut expected = ids.to_vec();
        expected.sort();
        eventually(PATIENCE, &format!("{} events are on the stream", ids.len()), async || {
            let stored = self.stored().await?;
            let mut found: Vec<Uuid> = stored.iter().map(|stored| stored.event.id()).collect();
            found.sort();
            (found == expected).then_some(stored)
        })
        .await
    }

    /// Rows that are not published.
    pub(crate) async fn pending(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM ledger.outbox WHERE published_at IS NULL")
            .fetch_one(&mut self.database.admin().await)
            .await
            .expect("the superuser sees everything")
    }

    pub(crate) async fn drained(&self) {
        eventually(PATIENCE, "the outbox is drained", async || (self.pending().await == 0).then_some(()))
            .await;
    }

    /// Behind the service's back.
    pub(crate) async fn as_admin(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.database.admin().await).await.expect("the superuser may");
    }
}

async fn database_of(database: &TestDatabase) -> Database {
    connect(&database.url).await
}

async fn connect(url: &str) -> Database {
    let mut config = DatabaseConfig::new(url);
    config.pool_size = 4;
    config.acquire_timeout = PATIENCE;
    Database::connect(&config).await.expect("the test database is there")
}

pub(crate) fn price_changed(variant: i64, version: i64) -> Event {
    let fact =
        PriceChanged { product_id: variant / 10, variant_id: variant, amount: version, ..Default::default() };
    Event::new(&ADMIN, OffsetDateTime::now_utc(), version, Fact::PriceChanged(fact))
}

/// Fails unless the versions of every aggregate are in order.
#[track_caller]
pub(crate) fn assert_in_order(stored: &[Stored]) {
    let mut last = BTreeMap::new();
    for Stored { event, .. } in stored {
        let aggregate = event.aggregate();
        let before = last.insert(aggregate.id.clone(), aggregate.version).unwrap_or(0);
        assert_eq!(aggregate.version, before + 1, "price {} out of order", aggregate.id);
    }
}
