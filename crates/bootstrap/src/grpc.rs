//! A gRPC server with the same manners in every service, and channels to it.

mod body;
mod call;
mod client;
mod deadline;

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};

pub use self::{
    client::{channel, request},
    deadline::{Deadline, remaining},
};
use crate::{
    Health, Shutdown,
    connections::{self, Protocol},
    grpc::call::Calls,
};

/// An RPC that names no `grpc-timeout` has this long.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(5);

/// The largest request message.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest request metadata, counted as names and values.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;

/// How often gRPC health looks at [`Health`].
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// A bound gRPC server.
///
/// Around the service's own routes it adds gRPC health and reflection, the caller's trace context and a server
/// span when sampled, the deadline, limits on metadata and messages, and a drain that ends.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds, so that the address is known before anything is served; port 0 takes a free one.
    pub async fn bind(address: impl ToSocketAddrs + std::fmt::Debug) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(&address)
            .await
            .with_context(|| format!("listening for gRPC on {address:?}"))?;
        let address = listener.local_addr().context("the gRPC listener's address")?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves `routes` until `shutdown`; returns when every connection is closed.
    ///
    /// A route without a `grpc-timeout` from its caller has 5 s, streams included: long streams must name
    /// theirs.
    ///
    /// # Errors
    /// When `file_descriptor_set` is not one.
    pub async fn serve(
        self,
        routes: Routes,
        health: Health,
        file_descriptor_set: &'static [u8],
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(file_descriptor_set)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Tools in use still ask for the older of the two.
        let newer = reflection().build_v1().context("the file descriptor set for reflection")?;
        let older = reflection().build_v1alpha().context("the file descriptor set for reflection")?;
        let routes = routes.add_service(health_service).add_service(newer).add_service(older).prepare();
        tracing::info!(address = %self.address, "gRPC is listening");

        let late = CancellationToken::new();
        let calls = Calls::new(routes, self.address, late.clone());
        let served = CancellationToken::new();
        tokio::join!(
            async {
                connections::serve(self.listener, Protocol::Http2, |peer| calls.of(peer), &shutdown, late)
                    .await;
                served.cancel();
            },
            async {
                tokio::select! {
                    () = report(&health, &reporter, &shutdown) => {}
                    () = served.cancelled() => {}
                }
            },
        );
        Ok(())
    }
}

/// Keeps gRPC health as [`Health`] says; ends when the process drains.
async fn report(health: &Health, reporter: &HealthReporter, shutdown: &Shutdown) {
    loop {
        let serving = if health.ready().await.takes_traffic() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        reporter.set_service_status("", serving).await;
        tokio::select! {
            () = tokio::time::sleep(HEALTH_EVERY) => {}
            () = health.draining() => break,
            () = shutdown.drain.cancelled() => break,
        }
    }
    health.set_draining();
    reporter.set_service_status("", ServingStatus::NotServing).await;
}
