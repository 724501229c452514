//! A NATS connection that survives the absence of its server.

use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};

const PING_INTERVAL: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);

/// Connects as `name`. Returns at once even when the server is away: the client keeps trying for ever, with
/// jittered delays up to 2 s, and buffers what is published meanwhile (bounded).
///
/// A lost peer is noticed after two unanswered pings, 4 s.
///
/// `url` may name several servers, separated by commas.
///
/// # Errors
/// When `url` is not an address.
pub async fn connect(url: &str, name: &str) -> anyhow::Result<Client> {
    // A client that retries for ever would retry a misspelt address too.
    let servers = url.split(',').map(server).collect::<anyhow::Result<Vec<_>>>()?;
    ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(async |event| match event {
            Event::Connected => tracing::info!("connected to NATS"),
            Event::Disconnected => tracing::warn!("NATS is away"),
            Event::ClientError(error) => tracing::warn!(%error, "NATS client error"),
            Event::ServerError(error) => tracing::warn!(%error, "NATS server error"),
            other => tracing::debug!(event = %other, "NATS event"),
        })
        .connect(servers)
        .await
        .context("connecting to NATS")
}

/// The error does not repeat the address: it may hold a password.
fn server(url: &str) -> anyhow::Result<ServerAddr> {
    let expected = "NATS address: expected nats://host:port";
    let server: ServerAddr = url.trim().parse().context(expected)?;
    ensure!(!server.host().is_empty(), expected);
    Ok(server)
}

/// Exponential from 50 ms, capped, with full jitter, so that a restarted server is not met by all at once.
fn reconnect_delay(attempts: usize) -> Duration {
    let ceiling = Duration::from_millis(50 << attempts.min(6)).min(RECONNECT_DELAY_MAX);
    ceiling.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_delays_grow_and_stay_bounded() {
        for attempts in [0, 1, 6, 7, 1_000_000, usize::MAX] {
            let delay = reconnect_delay(attempts);
            assert!(delay >= Duration::from_millis(25), "{attempts}: {delay:?}");
            assert!(delay <= RECONNECT_DELAY_MAX, "{attempts}: {delay:?}");
        }
        assert!(reconnect_delay(0) <= Duration::from_millis(50));
        assert!(reconnect_delay(9) >= RECONNECT_DELAY_MAX / 2);
    }
}
