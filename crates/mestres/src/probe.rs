//! Asks a service of this machine whether it is ready.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The service's own checks end after a second each and run side by side.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const REPORT_BYTES_MAX: usize = 64 << 10;

/// How well a service that takes traffic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Everything it uses answers.
    Whole,
    /// Something it can do without is away.
    Degraded,
}

/// `Ok` when the service takes traffic, else what it said, or that it said nothing.
pub(crate) async fn ready(internal_http: SocketAddr) -> Result<Readiness, String> {
    match tokio::time::timeout(ANSWER_WITHIN, report(internal_http)).await {
        Ok(Ok((status, report))) if status.is_success() => Ok(readiness(&report)),
        Ok(Ok((status, report))) => Err(format!("{status}: {report}")),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_elapsed) => Err(format!("no answer within {ANSWER_WITHIN:?}")),
    }
}

fn readiness(report: &str) -> Readiness {
    let status = serde_json::from_str::<serde_json::Value>(report).ok();
    match status.as_ref().and_then(|report| report["status"].as_str()) {
        Some("ready") => Readiness::Whole,
        _ => Readiness::Degraded,
    }
}

async fn report(internal_http: SocketAddr) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(internal_http).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let request = Request::get("/health/ready")
            .header("host", internal_http.to_string())
            .header("connection", "close")
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), REPORT_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end before we have looked at the answer it brought.
        ended = &mut connection => { ended?; exchange.await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_report_that_says_ready_is_whole() {
        assert_eq!(readiness(r#"{"status":"ready","checks":[]}"#), Readiness::Whole);
        assert_eq!(readiness(r#"{"status":"degraded","checks":[]}"#), Readiness::Degraded);
        assert_eq!(readiness("OK"), Readiness::Degraded);
    }
}
