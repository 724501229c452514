//! Channels to our services, and requests that carry deadline, trace and caller.

use std::time::Duration;

use anyhow::Context;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::trace;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// The end of a call that forgot to say when it ends.
const BACKSTOP: Duration = Duration::from_secs(30);

/// A channel that connects when first used and reconnects by itself.
///
/// It is one HTTP/2 connection driven by one task, so busy callers hold one each. Must be called inside a tokio
/// runtime.
///
/// # Errors
/// When `url` is not an `http://host:port` address.
pub fn channel(url: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .with_context(|| format!("gRPC address {url}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(BACKSTOP)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    Ok(endpoint.connect_lazy())
}

/// A request that carries `deadline`, the current trace when sampled, and the caller's token.
///
/// Both sides end the call at the deadline. `bearer` is the token alone; one that cannot be a header value makes
/// the request anonymous.
pub fn request<T>(message: T, deadline: Duration, bearer: Option<&str>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(deadline);
    let authorization =
        bearer.and_then(|token| format!("Bearer {token}").parse::<MetadataValue<Ascii>>().ok());
    if let Some(mut authorization) = authorization {
        authorization.set_sensitive(true);
        request.metadata_mut().insert("authorization", authorization);
    }
    trace::inject_tonic(request.metadata_mut());
    request
}
