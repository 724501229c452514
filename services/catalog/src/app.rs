//! What is connected to what.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bootstrap::{Health, Shutdown, grpc, internal_http};
use events::{Consumer, Relay, RelayConfig};
use latency::{Recorder, Reporter, grpc::TimingLayer};
use proto::catalog::v1::catalog_service_server::CatalogServiceServer;
use rls::{Assertions, Database, DatabaseConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::consumers::{sales, stock};
use crate::domain::cursor::CursorKey;
use crate::grpc::CatalogGrpc;
use crate::popularity;

const SERVICE: &str = "catalog";
/// Slower calls are reported as slow.
const CALL_THRESHOLD: Duration = Duration::from_millis(100);
/// How long a readiness check may wait for the database.
const PING_DEADLINE: Duration = Duration::from_millis(800);
/// How long idle connections may take to close when the process ends.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How long work under way may take when the process ends: what is not finished comes again.
const FINISH_DEADLINE: Duration = Duration::from_secs(10);

/// A catalog process: bound, not serving yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    db: Database,
    nats: async_nats::Client,
    service: CatalogGrpc,
    grpc: grpc::Server,
    internal: TcpListener,
    internal_addr: SocketAddr,
}

impl App {
    /// Connects and binds; afterwards both addresses are known.
    ///
    /// # Errors
    /// When the database, the key set or an address cannot be used. NATS may be away.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let assertions = Assertions::from_jwks_file(&config.assertion_jwks_file, SERVICE)
            .context("cannot read the key set of assertions")?;
        let mut database = DatabaseConfig::new(&config.database_url);
        database.pool_size = config.database_pool_size;
        database.application_name = format!("mestres-{SERVICE}");
        let db = Database::connect(&database).await.context("cannot use the database")?;
        let nats = bootstrap::nats::connect(&config.nats_url, SERVICE).await?;

        let cursor_key = CursorKey::derive(&config.token_key);
        let service = CatalogGrpc { db: db.clone(), assertions, cursor_key };
        let grpc = grpc::Server::bind(config.grpc_addr).await?;
        let internal = TcpListener::bind(config.internal_http_addr)
            .await
            .with_context(|| format!("cannot listen for internal HTTP on {}", config.internal_http_addr))?;
        let internal_addr = internal.local_addr()?;
        Ok(Self { config, db, nats, service, grpc, internal, internal_addr })
    }

    /// Where calls are answered.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc.local_addr()
    }

    /// Where metrics and health are.
    pub fn internal_addr(&self) -> SocketAddr {
        self.internal_addr
    }

    /// Serves until `shutdown`, then finishes what is under way.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let Self { config, db, nats, service, grpc, internal, .. } = self;

        let health = Health::new();
        let pinged = db.clone();
        health.check("database", move || {
            let db = pinged.clone();
            async move { db.ping(PING_DEADLINE).await.map_err(|error| error.to_string()) }
        });
        let connected = nats.clone();
        health.optional("nats", move || {
            let state = connected.connection_state();
            async move {
                match state {
                    async_nats::connection::State::Connected => Ok(()),
                    away => Err(format!("{away:?}")),
                }
            }
        });

        let recorder =
            Recorder::new(latency::grpc::endpoints("mestres.catalog.v1.CatalogService", CALL_THRESHOLD));
        // Both go on until the last call is answered: its events and its timing count too.
        let served = CancellationToken::new();
        let outbox = RelayConfig {
            service: SERVICE,
            database_url: config.database_url.clone(),
            stream_replicas: config.stream_replicas,
        };
        let relay = Relay::new(outbox, db.clone(), nats.clone());
        let relay = tokio::spawn(relay.run(served.clone()));
        let reporter = match &config.metrics_url {
            Some(url) => {
                let identity = latency::Identity {
                    service: SERVICE.to_owned(),
                    instance: config.instance.clone(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                };
                let counted = db.clone();
                let connections = move || counted.connections();
                Some(Reporter::spawn(
                    recorder.clone(),
                    grpc::channel(url)?,
                    identity,
                    connections,
                    served.clone(),
                ))
            }
            None => None,
        };

        // What works by itself until the process drains.
        let workers = TaskTracker::new();
        let bands = Consumer::ordered(stock::config(), nats.clone(), db.clone());
        let (stocked, stop) = (db.clone(), shutdown.drain.clone());
        workers.spawn(async move {
            bands.run(stop, move |delivery| stock::handle(stocked.clone(), delivery)).await;
        });
        let orders = Consumer::new(sales::config(), nats);
        let (sold, stop) = (db.clone(), shutdown.drain.clone());
        workers.spawn(async move {
            orders.run(stop, move |delivery| sales::handle(sold.clone(), delivery)).await;
        });
        workers.spawn(popularity::keep_counted(db.clone(), config.count_sales_every, shutdown.drain.clone()));
        workers.spawn(idempotency::keep_swept(db.clone(), shutdown.drain.clone()));
        workers.close();

        let gauges = reporter.as_ref().map(Reporter::gauges);
        let (measured, timed) = (db.clone(), recorder.clone());
        let metrics = move || {
            let mut text = String::new();
            latency::prometheus(&timed, &mut text);
            measured.prometheus(&mut text);
            if let Some(gauges) = &gauges {
                gauges.prometheus(&mut text);
            }
            text
        };

        let timing = TimingLayer::new(recorder);
        let routes = tonic::service::Routes::new(timing.layer(CatalogServiceServer::new(service)));
        let outcome = tokio::try_join!(
            grpc.serve(routes, health.clone(), proto::FILE_DESCRIPTOR_SET, shutdown.clone()),
            internal_http::serve(internal, health, metrics, shutdown),
        );

        if tokio::time::timeout(FINISH_DEADLINE, workers.wait()).await.is_err() {
            tracing::warn!("work was still under way when the service stopped");
        }
        served.cancel();
        relay.await.context("the relay panicked")?;
        if let Some(reporter) = reporter {
            reporter.stopped().await;
        }
        db.close(CLOSE_DEADLINE).await;
        outcome.map(|_| ())
    }
}
