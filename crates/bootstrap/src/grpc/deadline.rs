//! `grpc-timeout`: how long the caller waits.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::Status;

const GRPC_TIMEOUT: &str = "grpc-timeout";

/// When the caller stops waiting. In the extensions of every request that [`super::Server`] serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Instant);

/// What is left of the caller's patience; the default when the request did not come through
/// [`super::Server`].
pub fn remaining<T>(request: &tonic::Request<T>) -> Duration {
    request
        .extensions()
        .get::<Deadline>()
        .map_or(super::DEADLINE_DEFAULT, |deadline| deadline.0.saturating_duration_since(Instant::now()))
}

/// Reads the header: at most 8 digits and a unit, `H`, `M`, `S`, `m`, `u` or `n`.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(parse);
    parsed
        .map(Some)
        .ok_or_else(|| Status::invalid_argument("grpc-timeout: expected up to 8 digits and a unit"))
}

fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 60 * 60),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("0S"), Some(Duration::ZERO));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse("7n"), Some(Duration::from_nanos(7)));
        assert_eq!(parse("2M"), Some(Duration::from_secs(120)));
    }

    #[test]
    fn everything_else_is_refused() {
        for value in ["", "m", "1", "1s", "1 m", "-1S", "+1S", "1.5S", "123456789m", "1é", "S1"] {
            assert_eq!(parse(value), None, "{value:?}");
        }
    }
}
