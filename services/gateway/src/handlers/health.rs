//! Probes.

use actix_web::{HttpRequest, HttpResponse};

use crate::error::Error;
use crate::gate::Gate;

/// The process runs.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "platform",
    responses((status = 200, description = "The process runs"))
)]
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(r#"{"status":"live"}"#)
}

/// Whether traffic is welcome. A lost Redis or NATS only degrades (S67).
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "platform",
    responses(
        (status = 200, description = "ready or degraded"),
        (status = 503, description = "unready or draining")
    )
)]
pub(crate) async fn ready(request: HttpRequest) -> Result<HttpResponse, Error> {
    let report = Gate::of(&request).health().ready().await;
    let body = serde_json::to_vec(&report).map_err(|error| {
        tracing::error!(%error, "a health report does not serialise");
        Error::Internal
    })?;
    let mut response =
        if report.takes_traffic() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    Ok(response.content_type("application/json").body(body))
}
