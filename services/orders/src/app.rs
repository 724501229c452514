//! What is connected to what.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bootstrap::{Health, Shutdown, grpc, internal_http};
use events::{Relay, RelayConfig};
use latency::{Recorder, Reporter, grpc::TimingLayer};
use proto::orders::v1::cart_service_server::CartServiceServer;
use proto::orders::v1::checkout_service_server::CheckoutServiceServer;
use proto::orders::v1::order_admin_service_server::OrderAdminServiceServer;
use proto::orders::v1::order_service_server::OrderServiceServer;
use rls::{Asserter, Assertions, Database, DatabaseConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::grpc::OrdersGrpc;
use crate::handlers::Shared;
use crate::payments::Payments;
use crate::places::Places;
use crate::timelines::Timelines;
use crate::workers::Workers;

const SERVICE: &str = "orders";
/// Slower calls are reported as slow.
const CALL_THRESHOLD: Duration = Duration::from_millis(100);
/// How long a readiness check may wait for the database.
const PING_DEADLINE: Duration = Duration::from_millis(800);
/// Of the pool's connections a quarter writes: as many checkouts write while others read carts and ask for prices.
const CONNECTIONS_PER_CHECKOUT: usize = 2;
/// How long idle connections may take to close when the process ends.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How long work in the background may take when the process ends: whatever it leaves is taken up by the next one.
const FINISH_DEADLINE: Duration = Duration::from_secs(10);

/// The services of the contract that a process answers.
const SERVICES: [&str; 4] = [
    "mestres.orders.v1.CartService",
    "mestres.orders.v1.CheckoutService",
    "mestres.orders.v1.OrderService",
    "mestres.orders.v1.OrderAdminService",
];

/// An orders process: bound, not serving yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    nats: async_nats::Client,
    service: OrdersGrpc,
    grpc: grpc::Server,
    internal: TcpListener,
    internal_addr: SocketAddr,
}

impl App {
    /// Connects and binds; afterwards both addresses are known.
    ///
    /// # Errors
    /// When the database, a key or an address cannot be used. NATS, the catalog and the payment provider may be away.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let assertions = Assertions::from_jwks_file(&config.assertion_jwks_file, SERVICE)
            .context("cannot read the key set of assertions")?;
        let asserter = Asserter::from_key_file(&config.assertion_key_file, SERVICE)
            .context("cannot read the key of assertions")?;
        let catalog = Catalog::new(grpc::channel(&config.catalog_url)?, asserter);

        let mut database = DatabaseConfig::new(&config.database_url);
        database.pool_size = config.database_pool_size;
        database.application_name = format!("mestres-{SERVICE}");
        let db = Database::connect(&database).await.context("cannot use the database")?;
        let nats = bootstrap::nats::connect(&config.nats_url, SERVICE).await?;

        let timelines = Timelines::new();
        let payments = Payments::new(&config.payments, db.clone(), timelines.clone())
            .context("cannot set up the payment provider")?;
        let checkouts = Places::new(config.database_pool_size as usize / CONNECTIONS_PER_CHECKOUT);
        let shared = Shared { db, catalog, key: config.secret_key, payments, timelines, checkouts };
        let service = OrdersGrpc { shared, assertions };
        let grpc = grpc::Server::bind(config.grpc_addr).await?;
        let internal = TcpListener::bind(config.internal_http_addr)
            .await
            .with_context(|| format!("cannot listen for internal HTTP on {}", config.internal_http_addr))?;
        let internal_addr = internal.local_addr()?;
        Ok(Self { config, nats, service, grpc, internal, internal_addr })
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
        let Self { config, nats, service, grpc, internal, .. } = self;
        let db = service.shared.db.clone();

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

        let endpoints = SERVICES.map(|service| latency::grpc::endpoints(service, CALL_THRESHOLD));
        let recorder = Recorder::new(endpoints.into_iter().flatten().collect());
        // Both go on until the last call is answered: its events and its timing count too.
        let served = CancellationToken::new();
        let outbox = RelayConfig {
            service: SERVICE,
            database_url: config.database_url.clone(),
            stream_replicas: config.stream_replicas,
        };
        let relay = tokio::spawn(Relay::new(outbox, db.clone(), nats.clone()).run(served.clone()));
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
        let tracker = TaskTracker::new();
        let workers = Workers { shared: service.shared.clone(), nats, sweep_every: config.sweep_every };
        workers.spawn(&tracker, &shutdown.drain);
        tracker.close();

        let gauges = reporter.as_ref().map(Reporter::gauges);
        let (measured, timed, payments) = (db.clone(), recorder.clone(), service.shared.payments.clone());
        let metrics = move || {
            let mut text = String::new();
            latency::prometheus(&timed, &mut text);
            measured.prometheus(&mut text);
            payments.prometheus(&mut text);
            if let Some(gauges) = &gauges {
                gauges.prometheus(&mut text);
            }
            text
        };

        let timing = TimingLayer::new(recorder);
        let routes = tonic::service::Routes::new(timing.layer(CartServiceServer::new(service.clone())))
            .add_service(timing.layer(CheckoutServiceServer::new(service.clone())))
            .add_service(timing.layer(OrderServiceServer::new(service.clone())))
            .add_service(timing.layer(OrderAdminServiceServer::new(service)));
        let outcome = tokio::try_join!(
            grpc.serve(routes, health.clone(), proto::FILE_DESCRIPTOR_SET, shutdown.clone()),
            internal_http::serve(internal, health, metrics, shutdown),
        );

        if tokio::time::timeout(FINISH_DEADLINE, tracker.wait()).await.is_err() {
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
