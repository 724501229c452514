//! What is connected to what.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use bootstrap::config::Environment;
use bootstrap::{Health, Shutdown, grpc, internal_http};
use events::{Consumer, Relay, RelayConfig};
use latency::{Recorder, Reporter, grpc::TimingLayer};
use proto::notifications::v1::notifications_service_server::NotificationsServiceServer;
use proto::notifications::v1::webhooks_service_server::WebhooksServiceServer;
use rls::{Asserter, Assertions, Database, DatabaseConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::consumers::{self, Teller};
use crate::follow::{Followers, Listener};
use crate::grpc::NotificationsGrpc;
use crate::mail::{self, Counts, Mails, Outbound};
use crate::orders::Orders;
use crate::sweeper::Sweeper;
use crate::webhooks::{self, Dispatcher, Webhooks, WebhooksGrpc};

const SERVICE: &str = "notifications";
/// Slower calls are reported as slow.
const CALL_THRESHOLD: Duration = Duration::from_millis(100);
/// How long a readiness check may wait for the database.
const PING_DEADLINE: Duration = Duration::from_millis(800);
/// How long idle connections may take to close when the process ends.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How long mails and messages under way may take when the process ends: their leases run out by themselves.
const FINISH_DEADLINE: Duration = Duration::from_secs(10);

/// A notifications process: bound, not serving yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    db: Database,
    nats: async_nats::Client,
    service: NotificationsGrpc,
    webhooks: WebhooksGrpc,
    teller: Teller,
    outbound: Outbound,
    grpc: grpc::Server,
    internal: TcpListener,
    internal_addr: SocketAddr,
}

impl App {
    /// Connects and binds; afterwards both addresses are known.
    ///
    /// # Errors
    /// When the database, a key, the mail settings or an address cannot be used. NATS, accounts, orders and the
    /// mail server may be away.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let assertions = Assertions::from_jwks_file(&config.assertion_jwks_file, SERVICE)
            .context("cannot read the key set of assertions")?;
        let asserter = Asserter::from_key_file(&config.assertion_key_file, SERVICE)
            .context("cannot read the key of assertions")?;
        let accounts = Accounts::new(grpc::channel(&config.accounts_url)?, asserter.clone());
        let orders = Orders::new(grpc::channel(&config.orders_url)?, asserter);

        let mut database = DatabaseConfig::new(&config.database_url);
        database.pool_size = config.database_pool_size;
        database.application_name = format!("mestres-{SERVICE}");
        let db = Database::connect(&database).await.context("cannot use the database")?;
        let nats = bootstrap::nats::connect(&config.nats_url, SERVICE).await?;

        anyhow::ensure!(
            config.environment == Environment::Development || config.mail.smtp_url.is_some(),
            "production needs a mail server"
        );
        let outbound = Outbound::new(&config.mail, db.clone())?;
        let mails = Mails::new(&config.secret_key, outbound.domain());
        let teller = Teller {
            db: db.clone(),
            accounts,
            orders,
            mails: mails.clone(),
            shop_url: config.public_url.clone(),
        };
        let followers = Followers::new(db.clone());
        let webhooks = Webhooks::new(config.webhooks.clone(), &config.secret_key, db.clone())
            .context("cannot set up webhooks")?;
        let webhooks = WebhooksGrpc { webhooks, assertions: assertions.clone() };
        let service = NotificationsGrpc { db: db.clone(), assertions, mails, followers };

        let grpc = grpc::Server::bind(config.grpc_addr).await?;
        let internal = TcpListener::bind(config.internal_http_addr)
            .await
            .with_context(|| format!("cannot listen for internal HTTP on {}", config.internal_http_addr))?;
        let internal_addr = internal.local_addr()?;
        Ok(Self { config, db, nats, service, webhooks, teller, outbound, grpc, internal, internal_addr })
    }

    /// Where calls are answered.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc.local_addr()
    }

    /// Where metrics, health and the development mailbox are.
    pub fn internal_addr(&self) -> SocketAddr {
        self.internal_addr
    }

    /// Serves until `shutdown`, then finishes what is under way.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let Self { config, db, nats, service, webhooks, teller, outbound, grpc, internal, .. } = self;
        let followers = service.followers.clone();

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

        let mut endpoints =
            latency::grpc::endpoints("mestres.notifications.v1.NotificationsService", CALL_THRESHOLD);
        endpoints
            .extend(latency::grpc::endpoints("mestres.notifications.v1.WebhooksService", CALL_THRESHOLD));
        let recorder = Recorder::new(endpoints);
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
        let workers = TaskTracker::new();
        let draining = || shutdown.drain.clone();
        let counts = Counts::default();
        let (reports, told) =
            (Consumer::ordered(consumers::reports::config(), nats.clone(), db.clone()), teller.clone());
        let stop = draining();
        workers.spawn(async move {
            reports.run(stop, move |delivery| consumers::reports::handle(told.clone(), delivery)).await;
        });
        let (accounts, told) =
            (Consumer::ordered(consumers::accounts::config(), nats.clone(), db.clone()), teller.clone());
        let stop = draining();
        workers.spawn(async move {
            accounts.run(stop, move |delivery| consumers::accounts::handle(told.clone(), delivery)).await;
        });
        let (orders, told) =
            (Consumer::ordered(consumers::orders::config(), nats.clone(), db.clone()), teller.clone());
        let stop = draining();
        workers.spawn(async move {
            orders.run(stop, move |delivery| consumers::orders::handle(told.clone(), delivery)).await;
        });
        workers.spawn(
            mail::Worker {
                db: db.clone(),
                mails: teller.mails,
                accounts: teller.accounts,
                outbound,
                shop_url: teller.shop_url,
                first_retry: config.mail.first_retry,
                counts: counts.clone(),
            }
            .run(draining()),
        );
        workers.spawn(idempotency::keep_swept(db.clone(), draining()));
        workers.spawn(Sweeper { db: db.clone(), every: config.sweep_every }.run(draining()));
        workers.spawn(
            Listener {
                followers: followers.clone(),
                db: db.clone(),
                nats: nats.clone(),
                compare_every: config.reconcile_every,
            }
            .run(draining()),
        );
        for intake in webhooks::intakes() {
            let durable = intake.durable;
            let facts = Consumer::ordered(intake, nats.clone(), db.clone());
            let told = webhooks.webhooks.clone();
            let stop = draining();
            workers.spawn(async move {
                facts.run(stop, move |delivery| webhooks::handle(told.clone(), durable, delivery)).await;
            });
        }
        let webhook_counts = webhooks::Counts::default();
        let dispatcher = Dispatcher { webhooks: webhooks.webhooks.clone(), counts: webhook_counts.clone() };
        workers.spawn(dispatcher.run(draining()));
        workers.close();

        let gauges = reporter.as_ref().map(Reporter::gauges);
        let (measured, timed, followed) = (db.clone(), recorder.clone(), followers.clone());
        let metrics = move || {
            let mut text = String::new();
            latency::prometheus(&timed, &mut text);
            measured.prometheus(&mut text);
            counts.prometheus(&mut text);
            webhook_counts.prometheus(&mut text);
            let _ = writeln!(text, "# HELP notifications_streams Streams of notifications that are open.");
            let _ = writeln!(text, "# TYPE notifications_streams gauge");
            let _ = writeln!(text, "notifications_streams {}", followed.streams());
            if let Some(gauges) = &gauges {
                gauges.prometheus(&mut text);
            }
            text
        };
        let pages = match (config.environment, &config.mail.smtp_url) {
            (Environment::Development, None) => mail::mailbox_pages(db.clone()),
            (Environment::Development | Environment::Production, _) => Router::new(),
        };

        let timing = TimingLayer::new(recorder);
        let routes = tonic::service::Routes::new(timing.layer(NotificationsServiceServer::new(service)))
            .add_service(timing.layer(WebhooksServiceServer::new(webhooks)));
        let outcome = tokio::try_join!(
            grpc.serve(routes, health.clone(), proto::FILE_DESCRIPTOR_SET, shutdown.clone()),
            internal_http::serve_with(internal, health, metrics, pages, shutdown.clone()),
            async {
                shutdown.drain.cancelled().await;
                // Streams never end by themselves.
                followers.drain().await;
                Ok(())
            },
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
