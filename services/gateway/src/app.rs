//! What is connected to what, and in which order it stops.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_service::{IntoServiceFactory, map_config};
use actix_web::dev::AppConfig;
use anyhow::Context;
use async_nats::connection::State;
use bootstrap::config::Environment;
use bootstrap::{Health, Shutdown};
use latency::{Identity, Reporter};
use rls::{Asserter, Verifier};
use tag_cache::{Cache, CacheConfig, Enabled, Mode};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::allowance::Doorkeeper;
use crate::config::Config;
use crate::front::FrontFactory;
use crate::gate::{Changes, Endpoints, Gate, Hsts, Shared, recorder};
use crate::limits::{Fleet, Limits};
use crate::listener::{self, Patience};
use crate::prefetch::{self, Prefetch};
use crate::representation::Compressed;
use crate::routes;
use crate::sessions::{Follower, Revocations};
use crate::upstream::Upstream;

/// Entries of other layouts must not be read: part of the cache's namespace.
const CACHE_NAMESPACE: &str = "gw2";
/// Compressed forms kept in memory.
const COMPRESSED_BYTES_MAX: u64 = 64 << 20;
/// From the end of accepting to the moment at which every connection is dropped.
const IN_FLIGHT_MAX: Duration = Duration::from_secs(20);
/// For changes whose clients have left, once nothing else is under way.
const CHANGES_MAX: Duration = Duration::from_secs(6);
/// For a service to say that it is well.
const PROBE_DEADLINE: Duration = Duration::from_millis(800);
/// For the last timings to reach the aggregator, and for the cache's own tasks.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// A gateway that has bound its addresses and not yet begun to serve.
#[derive(Debug)]
pub struct App {
    config: Config,
    http: TcpListener,
    http_addr: SocketAddr,
    internal: tokio::net::TcpListener,
    internal_addr: SocketAddr,
    nats: async_nats::Client,
    verifier: Verifier,
    asserter: Asserter,
    patience: Patience,
}

impl App {
    /// Binds both addresses and reads the keys; services, NATS and Redis may still be away.
    ///
    /// # Errors
    /// When an address is taken, the keys cannot be read, or a setting cannot work.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let environment = match config.environment {
            Environment::Development => rls::Environment::Development,
            Environment::Production => rls::Environment::Production,
        };
        let verifier = Verifier::from_jwks_file(
            &config.jwks_file,
            &config.jwt_issuer,
            &config.jwt_audience,
            environment,
        )
        .with_context(|| format!("read the keys in {}", config.jwks_file.display()))?;
        let asserter = Asserter::from_key_file(&config.assertion_key_file, "gateway")
            .with_context(|| format!("read the key in {}", config.assertion_key_file.display()))?;
        let http =
            TcpListener::bind(config.http_addr).with_context(|| format!("listen on {}", config.http_addr))?;
        let internal = tokio::net::TcpListener::bind(config.internal_addr)
            .await
            .with_context(|| format!("listen on {}", config.internal_addr))?;
        let nats = bootstrap::nats::connect(&config.nats_url, "gateway").await?;
        Ok(Self {
            http_addr: http.local_addr()?,
            internal_addr: internal.local_addr()?,
            patience: Patience::default(),
            config,
            http,
            internal,
            nats,
            verifier,
            asserter,
        })
    }

    /// Where the API is.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where metrics and probes are.
    pub fn internal_addr(&self) -> SocketAddr {
        self.internal_addr
    }

    /// With another patience for slow clients: for tests.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Serves until `shutdown`; then stops being ready, serves on for the drain delay, stops accepting,
    /// finishes what is under way, and drops what is left.
    ///
    /// # Errors
    /// When serving cannot begin or ends by itself.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let Self { config, http, internal, nats, verifier, asserter, patience, .. } = self;
        let background = CancellationToken::new();
        let cache = Cache::start(cache_config(&config), nats.clone(), background.clone())
            .context("start the cache")?;
        let recorder = recorder();
        let metrics = bootstrap::grpc::channel(&config.metrics_url)?;
        let reporter =
            Reporter::spawn(recorder.clone(), metrics, identity(&config), || (0, 0), background.clone());
        let changes = Changes {
            runtime: Handle::current(),
            upstream: Upstream::new(&config)?,
            running: TaskTracker::new(),
        };
        let health = health(&cache, config.cache, &nats, bootstrap::grpc::channel(&config.catalog_url)?);
        let limits = Limits::new(config.gateway_replicas);
        let fleet = match &config.redis_url {
            Some(url) => Some(
                Fleet::new(limits.clone(), url, &config.instance, &config.token_key, config.gateway_replicas)
                    .context("count rate limits in Redis")?,
            ),
            None => None,
        };
        let fleet = fleet.map(|fleet| tokio::spawn(fleet.run(background.clone())));
        let revocations = Revocations::default();
        let known = revocations.clone();
        health.optional("sessions", move || {
            let fresh = known.is_fresh();
            async move { if fresh { Ok(()) } else { Err("no news of revocations lately".to_owned()) } }
        });
        let follower = Follower {
            revocations: revocations.clone(),
            accounts: changes.upstream.accounts.clone(),
            nats: nats.clone(),
            asserter: asserter.clone(),
        };
        let follower = tokio::spawn(follower.run(background.clone()));
        let shared = Arc::new(Shared {
            compressed: Compressed::new(COMPRESSED_BYTES_MAX),
            endpoints: Endpoints::of(&recorder),
            hsts: match config.environment {
                Environment::Production => Hsts::Send,
                Environment::Development => Hsts::Omit,
            },
            in_flight_max: config.in_flight_max,
            doorkeeper: Doorkeeper {
                limits: limits.clone(),
                proxies: config.trusted_proxies.clone(),
                load_generators: config.load_generators.clone(),
            },
            prefetch: Prefetch::default(),
            draining: AtomicBool::new(false),
            health: health.clone(),
            cache: cache.clone(),
            recorder: recorder.clone(),
            verifier,
            asserter,
            revocations,
            origins: config.allowed_origins.clone(),
            changes,
        });

        // Cancelled when the drain has taken its time, or at once by a second signal.
        let hard = shutdown.hard.child_token();
        let make = {
            let (shared, config) = (Arc::clone(&shared), config.clone());
            move || {
                // One connection to each service per worker: a connection is driven by one task.
                let upstream = Upstream::new(&config).expect("the same addresses were accepted before");
                let gate = Rc::new(Gate::new(Arc::clone(&shared), upstream));
                let app = actix_web::App::new().app_data(Rc::clone(&gate)).configure(routes::configure);
                FrontFactory { app: map_config(app.into_factory(), |()| AppConfig::default()), gate }
            }
        };
        let warming = if config.cache == Enabled::Yes { config.warm_users } else { 0 };
        let warming = tokio::spawn(prefetch::warm(Arc::clone(&shared), warming, shutdown.drain.clone()));
        let server = listener::serve(http, config.workers, patience, hard.clone(), make)
            .context("start the listener")?;
        let handle = server.handle();
        let mut serving = tokio::spawn(server);
        let internal = tokio::spawn(bootstrap::internal_http::serve(
            internal,
            health.clone(),
            prometheus(&shared, reporter.gauges()),
            shutdown.clone(),
        ));
        tracing::info!(http.addr = %self.http_addr, internal.addr = %self.internal_addr, "the gateway serves");

        tokio::select! {
            ended = &mut serving => {
                ended.context("the listener's task")?.context("the listener")?;
                anyhow::bail!("the listener ended by itself");
            }
            () = shutdown.drain.cancelled() => {}
            () = shutdown.hard.cancelled() => {}
        }
        health.set_draining();
        shared.draining.store(true, Ordering::Relaxed);
        shutdown.stop_accepting().await;
        let end_of_patience = {
            let hard = hard.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(IN_FLIGHT_MAX) => hard.cancel(),
                    () = hard.cancelled() => {}
                }
            })
        };
        let stopping = handle.stop(true);
        tokio::select! {
            () = stopping => {}
            () = hard.cancelled() => handle.stop(false).await,
        }
        end_of_patience.abort();
        serving.await.context("the listener's task")?.context("the listener")?;
        shared.changes.running.close();
        if tokio::time::timeout(CHANGES_MAX, shared.changes.running.wait()).await.is_err() {
            tracing::warn!("a change is still under way; its service will finish or roll back");
        }
        background.cancel();
        let goodbyes = async {
            if let Some(fleet) = fleet
                && let Err(error) = fleet.await
            {
                tracing::error!(%error, "the task of the rate limits");
            }
            if let Err(error) = warming.await {
                tracing::error!(%error, "the task that fills pages of active users");
            }
            if let Err(error) = follower.await {
                tracing::error!(%error, "the task that follows revocations");
            }
            cache.stopped().await;
            reporter.stopped().await;
        };
        if tokio::time::timeout(GOODBYE_MAX, goodbyes).await.is_err() {
            tracing::warn!("the last timings may be missing");
        }
        internal.abort();
        if tokio::time::timeout(GOODBYE_MAX, nats.drain()).await.is_err() {
            tracing::debug!("NATS did not drain in time");
        }
        Ok(())
    }
}

fn cache_config(config: &Config) -> CacheConfig {
    CacheConfig {
        enabled: config.cache,
        l1_bytes_max: config.cache_bytes_max,
        redis_url: config.redis_url.clone(),
        ..CacheConfig::new(CACHE_NAMESPACE, config.token_key)
    }
}

fn identity(config: &Config) -> Identity {
    Identity {
        service: "gateway".to_owned(),
        instance: config.instance.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Without the catalog nothing new can be shown, yet what is cached can: everything only degrades (S67).
fn health(cache: &Cache, enabled: Enabled, nats: &async_nats::Client, catalog: Channel) -> Health {
    let health = Health::new();
    if enabled == Enabled::Yes {
        let cache = cache.clone();
        health.optional("cache", move || {
            let mode = cache.mode();
            async move {
                match mode {
                    Mode::Live => Ok(()),
                    // Strict reads go to the catalog until purges arrive on time again.
                    late => Err(format!("the purge log is {}", late.name())),
                }
            }
        });
    }
    let nats = nats.clone();
    health.optional("nats", move || {
        let state = nats.connection_state();
        async move {
            match state {
                State::Connected => Ok(()),
                State::Pending | State::Disconnected => Err("not connected".to_owned()),
            }
        }
    });
    let catalog = HealthClient::new(catalog);
    health.optional("catalog", move || {
        let mut catalog = catalog.clone();
        async move {
            let request = bootstrap::grpc::request(HealthCheckRequest::default(), PROBE_DEADLINE, None);
            let reply = catalog.check(request).await.map_err(|status| status.message().to_owned())?;
            match reply.into_inner().status() {
                ServingStatus::Serving => Ok(()),
                other => Err(format!("says {}", other.as_str_name())),
            }
        }
    });
    health
}

fn prometheus(
    shared: &Arc<Shared>,
    gauges: latency::ReporterGauges,
) -> impl Fn() -> String + Clone + Send + Sync + 'static {
    let shared = Arc::clone(shared);
    move || {
        let mut text = String::with_capacity(32 * 1024);
        latency::prometheus(&shared.recorder, &mut text);
        shared.cache.prometheus(&mut text);
        gauges.prometheus(&mut text);
        shared.doorkeeper.limits.prometheus(&mut text);
        shared.prefetch.prometheus(&mut text);
        shared.revocations.prometheus(&mut text);
        text
    }
}
