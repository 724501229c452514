//! What is connected to what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bootstrap::config::Environment;
use bootstrap::{Health, Shutdown, grpc, internal_http};
use events::{Relay, RelayConfig};
use latency::{Recorder, Reporter, grpc::TimingLayer};
use proto::accounts::v1::accounts_service_server::AccountsServiceServer;
use rls::{Asserter, Assertions, Database, DatabaseConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::access_tokens::AccessTokens;
use crate::announcer::{Announcements, announcer};
use crate::attempts::Attempts;
use crate::config::Config;
use crate::counters::Counters;
use crate::grpc::AccountsGrpc;
use crate::handlers::{Resources, UnknownSessions};
use crate::jobs::{self, Peers, Workshop};
use crate::passwords::Passwords;
use crate::secrets::Secrets;
use crate::sweep;

const SERVICE: &str = "accounts";
/// Slower calls are reported as slow. A password takes longer than anything else here.
const CALL_THRESHOLD: Duration = Duration::from_millis(250);
/// How long a readiness check may wait for the database.
const PING_DEADLINE: Duration = Duration::from_millis(800);
/// How long idle connections may take to close when the process ends.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// An accounts process: bound, not serving yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    db: Database,
    nats: async_nats::Client,
    service: AccountsGrpc,
    announcements: Announcements,
    workshop: Workshop,
    grpc: grpc::Server,
    internal: TcpListener,
    internal_addr: SocketAddr,
}

impl App {
    /// Connects and binds; afterwards both addresses are known.
    ///
    /// # Errors
    /// When the database, a key or an address cannot be used. NATS and the other services may be away.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let development_issuer = config.jwt_issuer.trim_end_matches('/').ends_with(".dev");
        anyhow::ensure!(
            config.environment == Environment::Development || !development_issuer,
            "issuer {} is a development issuer and is refused in production",
            config.jwt_issuer
        );
        let assertions = Assertions::from_jwks_file(&config.assertion_jwks_file, SERVICE)
            .context("cannot read the services' key set")?;
        let asserter = Asserter::from_key_file(&config.assertion_key_file, SERVICE)
            .context("cannot read this service's own key")?;
        let access_tokens = AccessTokens::from_key_file(
            config.signing_key_file.clone(),
            config.jwt_issuer.clone(),
            config.jwt_audience.clone(),
        )
        .context("cannot read the key that signs access tokens")?;

        let mut database = DatabaseConfig::new(&config.database_url);
        database.pool_size = config.database_pool_size;
        database.application_name = format!("mestres-{SERVICE}");
        let db = Database::connect(&database).await.context("cannot use the database")?;
        let nats = bootstrap::nats::connect(&config.nats_url, SERVICE).await?;

        let secrets = Arc::new(Secrets::new(&config.secret_key, config.previous_secret_key.as_ref()));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (announcer, announcements) = announcer(nats.clone());
        let counters = Arc::new(Counters::default());
        let resources = Resources {
            db: db.clone(),
            secrets: Arc::clone(&secrets),
            passwords: Passwords::new(&secrets, cores),
            access_tokens: Arc::new(access_tokens),
            attempts: Attempts::new(Arc::clone(&secrets)),
            announcer: announcer.clone(),
            counters: Arc::clone(&counters),
            staff_totp: config.staff_totp,
            unknown_sessions: match config.environment {
                Environment::Development => UnknownSessions::Live,
                Environment::Production => UnknownSessions::Revoked,
            },
        };
        let workshop = Workshop {
            db: db.clone(),
            secrets,
            announcer,
            counters,
            peers: Peers::new(asserter, &config)?,
            public_url: config.public_url.as_str().into(),
        };
        let service = AccountsGrpc { resources, assertions };

        let grpc = grpc::Server::bind(config.grpc_addr).await?;
        let internal = TcpListener::bind(config.internal_http_addr)
            .await
            .with_context(|| format!("cannot listen for internal HTTP on {}", config.internal_http_addr))?;
        let internal_addr = internal.local_addr()?;
        Ok(Self { config, db, nats, service, announcements, workshop, grpc, internal, internal_addr })
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
        let Self { config, db, nats, service, announcements, workshop, grpc, internal, .. } = self;

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
            Recorder::new(latency::grpc::endpoints("mestres.accounts.v1.AccountsService", CALL_THRESHOLD));
        // These stop with the listeners: what they do can wait for the next process.
        let sweeping = tokio::spawn(sweep::run(db.clone(), shutdown.drain.clone()));
        let forgetting = tokio::spawn(idempotency::keep_swept(db.clone(), shutdown.drain.clone()));
        let working = tokio::spawn(jobs::run(workshop, shutdown.drain.clone()));
        // These go on until the last call is answered: its events, revocations and timing count too.
        let served = CancellationToken::new();
        let announcing = tokio::spawn(announcements.run(served.clone()));
        let outbox = RelayConfig {
            service: SERVICE,
            database_url: config.database_url.clone(),
            stream_replicas: config.stream_replicas,
        };
        let relay = Relay::new(outbox, db.clone(), nats);
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

        let gauges = reporter.as_ref().map(Reporter::gauges);
        let (measured, timed, counted) = (db.clone(), recorder.clone(), service.resources.clone());
        let metrics = move || {
            let mut text = String::new();
            latency::prometheus(&timed, &mut text);
            measured.prometheus(&mut text);
            counted.passwords.prometheus(&mut text);
            counted.counters.prometheus(&mut text);
            if let Some(gauges) = &gauges {
                gauges.prometheus(&mut text);
            }
            text
        };

        let timing = TimingLayer::new(recorder);
        let routes = tonic::service::Routes::new(timing.layer(AccountsServiceServer::new(service)));
        let outcome = tokio::try_join!(
            grpc.serve(routes, health.clone(), proto::FILE_DESCRIPTOR_SET, shutdown.clone()),
            internal_http::serve(internal, health, metrics, shutdown.clone()),
        );

        // Also when a listener failed: nothing outlives this.
        shutdown.drain.cancel();
        sweeping.await.context("the sweeper panicked")?;
        forgetting.await.context("the sweeper of repeats panicked")?;
        working.await.context("a worker panicked")?;
        served.cancel();
        announcing.await.context("the announcer panicked")?;
        relay.await.context("the relay panicked")?;
        if let Some(reporter) = reporter {
            reporter.stopped().await;
        }
        db.close(CLOSE_DEADLINE).await;
        outcome.map(|_| ())
    }
}
