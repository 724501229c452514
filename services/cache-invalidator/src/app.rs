//! What is connected to what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use bootstrap::{Health, Shutdown, grpc, internal_http};
use latency::prometheus::{header, line};
use rls::{Database, DatabaseConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::config::Config;
use crate::invalidator::{Gauges, Invalidator};
use crate::tag_record::TagRecord;

/// Name of the database, its login and its schema.
const SERVICE: &str = "invalidator";
/// The service needs few connections: one row, once a second.
const POOL_SIZE: u32 = 4;
const PING_DEADLINE: Duration = Duration::from_millis(800);
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// An invalidator process: bound, not working yet.
#[derive(Debug)]
pub struct App {
    db: Database,
    nats: async_nats::Client,
    invalidator: Invalidator,
    record: Option<Arc<TagRecord>>,
    gauges: Arc<Gauges>,
    grpc: grpc::Server,
    internal: TcpListener,
    internal_addr: SocketAddr,
}

impl App {
    /// Connects and binds; afterwards both addresses are known.
    ///
    /// # Errors
    /// When the database or an address cannot be used. NATS and Redis may be away.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let mut database = DatabaseConfig::new(&config.database_url);
        database.pool_size = POOL_SIZE;
        database.application_name = format!("mestres-{SERVICE}");
        let db = Database::connect(&database).await.context("cannot use the database")?;
        let nats = bootstrap::nats::connect(&config.nats_url, SERVICE).await?;
        let record = match &config.redis_url {
            // Without its source: that may repeat a password.
            Some(url) => {
                let record =
                    TagRecord::new(url).map_err(|_invalid| anyhow::anyhow!("REDIS_URL cannot be read"))?;
                Some(Arc::new(record))
            }
            None => None,
        };
        let gauges = Arc::new(Gauges::default());
        let invalidator = Invalidator::new(
            db.clone(),
            &config.database_url,
            nats.clone(),
            &config.relays,
            config.stream_replicas,
            record.clone(),
            Arc::clone(&gauges),
        );
        let grpc = grpc::Server::bind(config.grpc_addr).await?;
        let internal = TcpListener::bind(config.internal_http_addr)
            .await
            .with_context(|| format!("cannot listen for internal HTTP on {}", config.internal_http_addr))?;
        let internal_addr = internal.local_addr()?;
        Ok(Self { db, nats, invalidator, record, gauges, grpc, internal, internal_addr })
    }

    /// Where gRPC health and reflection are.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc.local_addr()
    }

    /// Where metrics and health are.
    pub fn internal_addr(&self) -> SocketAddr {
        self.internal_addr
    }

    /// Works until `shutdown`.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let Self { db, nats, invalidator, record, gauges, grpc, internal, .. } = self;
        let health = Health::new();
        let pinged = db.clone();
        health.check("database", move || {
            let db = pinged.clone();
            async move { db.ping(PING_DEADLINE).await.map_err(|error| error.to_string()) }
        });
        health.optional("nats", move || {
            let state = nats.connection_state();
            async move {
                match state {
                    async_nats::connection::State::Connected => Ok(()),
                    away => Err(format!("{away:?}")),
                }
            }
        });

        if let Some(record) = record {
            let idle = Arc::clone(&gauges);
            health.optional("redis", move || {
                // A replica that is not active writes nothing.
                let fine = record.is_reachable() || idle.active.load(Ordering::Relaxed) == 0;
                async move { if fine { Ok(()) } else { Err("purges are not recorded".to_owned()) } }
            });
        }

        let working = CancellationToken::new();
        let stop = working.clone();
        let invalidating = tokio::spawn(async move { Box::pin(invalidator.run(stop)).await });
        let measured = db.clone();
        let metrics = move || {
            let mut text = String::new();
            measured.prometheus(&mut text);
            gauges.prometheus(&mut text);
            text
        };
        let outcome = tokio::try_join!(
            grpc.serve(Routes::default(), health.clone(), proto::FILE_DESCRIPTOR_SET, shutdown.clone()),
            internal_http::serve(internal, health, metrics, shutdown),
        );
        working.cancel();
        invalidating.await.context("the invalidator panicked")?;
        db.close(CLOSE_DEADLINE).await;
        outcome.map(|_| ())
    }
}

impl Gauges {
    fn prometheus(&self, out: &mut String) {
        let metrics = [
            ("invalidator_purges_total", "counter", "Events turned into purges", &self.purges),
            ("invalidator_unreadable_total", "counter", "Messages that ended an epoch", &self.unreadable),
            ("invalidator_epoch", "gauge", "Epoch of the purge log", &self.epoch),
            ("invalidator_active", "gauge", "Whether this replica is the active one", &self.active),
            (
                "invalidator_oldest_pending_milliseconds",
                "gauge",
                "Age of the oldest change that is not on the purge log",
                &self.oldest_pending_ms,
            ),
        ];
        for (name, kind, help, value) in metrics {
            header(out, name, kind, help);
            line(out, name, &[], value.load(Ordering::Relaxed));
        }
    }
}
