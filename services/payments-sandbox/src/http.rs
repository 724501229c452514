//! The provider's API, the sandbox's controls, and the pages that a buyer sees.

mod answer;
mod api;
mod control;
mod page;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::sandbox::Sandbox;

/// A body of the API is a few hundred bytes.
const BODY_MAX: usize = 64 * 1024;

/// Everything that is answered.
pub(crate) fn router(sandbox: Sandbox) -> Router {
    let api = Router::new()
        .route("/v1/payment_intents", get(api::list_intents).post(api::create_intent))
        .route("/v1/payment_intents/search", get(api::search_intents))
        .route("/v1/payment_intents/{id}", get(api::intent))
        .route("/v1/payment_intents/{id}/confirm", post(api::confirm_intent))
        .route("/v1/payment_intents/{id}/capture", post(api::capture_intent))
        .route("/v1/payment_intents/{id}/cancel", post(api::cancel_intent))
        .route("/v1/charges/{id}", get(api::charge))
        .route("/v1/refunds", get(api::list_refunds).post(api::create_refund))
        .route("/v1/refunds/{id}", get(api::refund));
    let control = Router::new()
        .route("/__sandbox/config", get(control::config).put(control::set_config))
        .route("/__sandbox/ledger", get(control::ledger))
        .route("/__sandbox/events", get(control::events))
        .route("/__sandbox/reset", post(control::reset))
        .route("/__sandbox/disputes/{id}/{what}", post(control::dispute))
        .route("/__sandbox/refunds/{id}/fail", post(control::refund_fails))
        .route("/__sandbox/pix/{id}", get(page::pix))
        .route("/__sandbox/pix/{id}/qr.png", get(page::pix_image))
        .route("/__sandbox/pix/{id}/qr.svg", get(page::pix_image))
        .route("/__sandbox/pix/{id}/{what}", post(page::pix_happens))
        .route("/__sandbox/3ds/{id}", get(page::three_ds))
        .route("/__sandbox/3ds/{id}/{what}", post(page::three_ds_happens));
    Router::new()
        .merge(api)
        .merge(control)
        .route("/health/live", get(control::live))
        .route("/health/ready", get(control::live))
        .fallback(api::unknown_url)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(sandbox)
}
