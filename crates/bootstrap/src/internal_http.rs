//! `/metrics`, `/health/live` and `/health/ready`, on a port that is not public.

use std::convert::Infallible;

use anyhow::Context;
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    Health, Shutdown,
    connections::{self, Protocol},
};

/// Serves until `shutdown`; `metrics` writes the Prometheus text exposition.
///
/// # Errors
/// When the listener has no local address.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    serve_with(listener, health, metrics, Router::new(), shutdown).await
}

/// The same, with further pages of the service's own.
///
/// # Errors
/// When the listener has no local address.
///
/// # Panics
/// When `extra` has a page under one of the names above.
pub async fn serve_with(
    listener: TcpListener,
    health: Health,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
    extra: Router,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("the internal listener's address")?;
    tracing::info!(%address, "internal HTTP is listening");
    let draining = health.clone();
    let pages = Router::new()
        .route("/metrics", get(async move || text(metrics())))
        .route("/health/live", get(async || json(StatusCode::OK, &Live { status: "live" })))
        .route("/health/ready", get(async move || ready(&health).await))
        .merge(extra);
    let service = TowerToHyperService::new(
        pages.into_service::<hyper::body::Incoming>().map_err(|never: Infallible| match never {}),
    );
    tokio::join!(
        connections::serve(
            listener,
            Protocol::Http1,
            |_peer| service.clone(),
            &shutdown,
            CancellationToken::new()
        ),
        async {
            tokio::select! {
                () = shutdown.drain.cancelled() => draining.set_draining(),
                () = shutdown.hard.cancelled() => {}
            }
        },
    );
    Ok(())
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

async fn ready(health: &Health) -> Response {
    let report = health.ready().await;
    let status = if report.takes_traffic() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &report)
}

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response()
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("a report has string keys and plain values");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
