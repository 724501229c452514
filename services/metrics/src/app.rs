//! What is connected to what.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use bootstrap::{Health, Shutdown, grpc, internal_http};
use latency::{Identity, Recorder, Reporter, grpc::TimingLayer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{config::Config, grpc::Grpc, replica::Replica, state::State, store::Store};

/// Questions that take longer than this count as slow.
const SLOW: Duration = Duration::from_millis(500);

/// The service, bound but not serving yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    grpc: grpc::Server,
    internal: TcpListener,
    store: Store,
}

impl App {
    /// Binds both listeners. Does not need Redis to be there.
    ///
    /// # Errors
    ///
    /// When an address is taken or the URL of Redis cannot be read.
    pub async fn build(config: Config) -> anyhow::Result<App> {
        let grpc = grpc::Server::bind(config.grpc_addr).await?;
        let internal = TcpListener::bind(config.internal_addr)
            .await
            .with_context(|| format!("listening for internal HTTP on {}", config.internal_addr))?;
        // Without its source: that may repeat a password.
        let store =
            Store::new(&config.redis_url).map_err(|_invalid| anyhow::anyhow!("REDIS_URL cannot be read"))?;
        Ok(App { config, grpc, internal, store })
    }

    /// Where sources report.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc.local_addr()
    }

    /// Where `/metrics` and health are.
    ///
    /// # Panics
    ///
    /// Never: the listener is bound.
    pub fn internal_addr(&self) -> SocketAddr {
        self.internal.local_addr().expect("a bound listener has an address")
    }

    /// Serves until `shutdown`, and stores what is left.
    ///
    /// # Errors
    ///
    /// When a server cannot start.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let state = Arc::new(State::new(shutdown.drain.clone()));
        let recorder = Recorder::new(latency::grpc::endpoints("mestres.metrics.v1.MetricsService", SLOW));

        let health = Health::new();
        let redis = Arc::clone(&state);
        health.optional("redis", move || {
            let reachable = redis.saving.is_reachable();
            async move { if reachable { Ok(()) } else { Err("timings are kept in memory only".to_owned()) } }
        });

        let stop_saving = CancellationToken::new();
        let saving = tokio::spawn(Replica::new(Arc::clone(&state), self.store).run(stop_saving.clone()));
        let identity = Identity {
            service: "metrics".to_owned(),
            instance: self.config.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let own_channel = grpc::channel(&format!("http://{}", reachable_at(self.grpc.local_addr())))?;
        let reporter =
            Reporter::spawn(recorder.clone(), own_channel, identity, || (0, 0), shutdown.drain.clone());

        let (counted, gauges, metrics) = (recorder.clone(), reporter.gauges(), Arc::clone(&state));
        let exposition = move || {
            let mut text = String::new();
            latency::prometheus(&counted, &mut text);
            gauges.prometheus(&mut text);
            metrics.prometheus(&mut text);
            text
        };
        let routes = Routes::new(TimingLayer::new(recorder).layer(Grpc::server(Arc::clone(&state))));
        let served = tokio::try_join!(
            self.grpc.serve(routes, health.clone(), proto::FILE_DESCRIPTOR_SET, shutdown.clone()),
            internal_http::serve(self.internal, health, exposition, shutdown.clone()),
        );
        // Also when serving failed: the tasks are ours to end.
        shutdown.drain.cancel();
        reporter.stopped().await;
        stop_saving.cancel();
        saving.await.context("storing timings ended abnormally")?;
        served.map(|((), ())| ())
    }
}

/// An address of ours that we can connect to: a wildcard listens on loopback too.
fn reachable_at(bound: SocketAddr) -> SocketAddr {
    match bound {
        SocketAddr::V4(addr) if addr.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], addr.port())),
        SocketAddr::V6(addr) if addr.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, addr.port()))
        }
        specified => specified,
    }
}
