//! Reading a request body: JSON only, of limited size, in limited time.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use actix_web::{HttpRequest, web};
use bytes::BytesMut;
use futures_util::StreamExt;

use crate::error::{Error, Text};
use crate::json::{self, Json};
use crate::listener::Peer;

/// The largest body that any route accepts, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A bound for the wait, beyond the one that the connection itself keeps for slow senders.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// Whether a request says that it has a body.
pub(crate) fn is_announced(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// The body of a request as JSON.
pub(crate) async fn json(request: &HttpRequest, payload: web::Payload) -> Result<Json, Error> {
    if request.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding.as_bytes() != b"identity") {
        return Err(Error::UnsupportedMediaType(Text::fixed(
            "o corpo não pode vir comprimido",
            "the body may not be compressed",
        )));
    }
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(is_json) {
        return Err(Error::UnsupportedMediaType(Text::fixed(
            "Content-Type deve ser application/json",
            "Content-Type must be application/json",
        )));
    }
    let declared =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(Error::PayloadTooLarge);
    }
    let body =
        tokio::time::timeout(WAIT_MAX, read(request, payload)).await.unwrap_or(Err(Error::RequestTimeout))?;
    json::parse(&body)
}

async fn read(request: &HttpRequest, mut payload: web::Payload) -> Result<BytesMut, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let Ok(chunk) = chunk else {
            let timed_out = request.conn_data::<Rc<Peer>>().is_some_and(|peer| peer.body_timed_out.get());
            return Err(if timed_out {
                Error::RequestTimeout
            } else {
                Error::BadRequest("the body ended early or is not framed as HTTP asks")
            });
        };
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(Error::PayloadTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// `application/json` or a merge patch, in UTF-8.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let json = essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/merge-patch+json");
    json && parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8"))
}
