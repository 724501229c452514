//! What was heard, as HTTP.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::connection::ResetConnection;
use crate::error::Refusal;
use crate::intent::new_id;
use crate::sandbox::{Answer, Heard};
use crate::world::API_VERSION;

impl IntoResponse for Heard {
    fn into_response(self) -> Response {
        match self {
            Self::Answer(answer) => answer.into_response(),
            Self::Reset => {
                let mut response = Response::new(Body::empty());
                response.extensions_mut().insert(ResetConnection);
                response
            }
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = json(self.status, self.body);
        let headers = response.headers_mut();
        headers.insert("stripe-version", HeaderValue::from_static(API_VERSION));
        headers.insert("request-id", value(&self.request_id));
        if let Some(original) = &self.original {
            headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
            headers.insert("original-request", value(original));
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.status, self.body().to_string());
        response.headers_mut().insert("request-id", value(&new_id("req")));
        response
    }
}

/// A JSON answer that nobody keeps.
pub(super) fn json(status: u16, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A 200.
pub(super) fn found(body: &Value) -> Response {
    json(200, body.to_string())
}

/// The response with one more header.
pub(super) fn with(mut response: Response, name: HeaderName, text: &str) -> Response {
    response.headers_mut().insert(name, value(text));
    response
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unprintable"))
}
