//! The services behind the gateway: one connection each per worker, a deadline on every call.

use std::time::Duration;

use proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use proto::metrics::v1::metrics_service_client::MetricsServiceClient;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::config::Config;
use crate::error::{Call, Error};

/// Reads for a page of the shop.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(2);
/// Changes by staff.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Statistics are answered from memory.
pub(crate) const METRICS_DEADLINE: Duration = Duration::from_secs(1);

/// Time that a service has to report its own deadline before ours cuts it off.
const GRACE: Duration = Duration::from_millis(50);
/// A retry with less time than this left would only add load.
const RETRY_TIME_MIN: Duration = Duration::from_millis(100);

/// Clients of all services. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// Products, categories, prices, images.
    pub(crate) catalog: CatalogServiceClient<Channel>,
    /// Timings.
    pub(crate) metrics: MetricsServiceClient<Channel>,
}

impl Upstream {
    /// Connections that open when they are first used, driven by the runtime this is called in.
    ///
    /// # Errors
    /// When an address in the configuration is none.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            catalog: CatalogServiceClient::new(bootstrap::grpc::channel(&config.catalog_url)?),
            metrics: MetricsServiceClient::new(bootstrap::grpc::channel(&config.metrics_url)?),
        })
    }
}

/// Calls once; for changes.
pub(crate) async fn once<M, R, F>(
    message: M,
    deadline: Duration,
    bearer: Option<&str>,
    call: impl FnOnce(Request<M>) -> F,
) -> Result<R, Error>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    attempt(message, deadline, bearer, call).await.map_err(|status| Error::from_status(&status, Call::Write))
}

/// Calls, and once more when the service was not reached; for reads.
pub(crate) async fn read<M, R, F>(
    message: M,
    deadline: Duration,
    bearer: Option<&str>,
    mut call: impl FnMut(Request<M>) -> F,
) -> Result<R, Error>
where
    M: Clone,
    F: Future<Output = Result<Response<R>, Status>>,
{
    let started = Instant::now();
    let first = attempt(message.clone(), deadline, bearer, &mut call).await;
    let status = match first {
        Ok(reply) => return Ok(reply),
        Err(status) => status,
    };
    let left = deadline.saturating_sub(started.elapsed());
    if status.code() != Code::Unavailable || left < RETRY_TIME_MIN {
        return Err(Error::from_status(&status, Call::Read));
    }
    let pause = Duration::from_millis(fastrand::u64(10..100)).min(left / 2);
    tokio::time::sleep(pause).await;
    let left = deadline.saturating_sub(started.elapsed());
    let second = attempt(message, left, bearer, call).await;
    second.map_err(|status| Error::from_status(&status, Call::Read))
}

async fn attempt<M, R, F>(
    message: M,
    deadline: Duration,
    bearer: Option<&str>,
    call: impl FnOnce(Request<M>) -> F,
) -> Result<R, Status>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let request = bootstrap::grpc::request(message, deadline, bearer);
    match tokio::time::timeout(deadline + GRACE, call(request)).await {
        Ok(reply) => reply.map(Response::into_inner),
        Err(_elapsed) => Err(Status::deadline_exceeded("no answer in time")),
    }
}
