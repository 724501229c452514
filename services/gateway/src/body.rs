//! Reading a request body: JSON only, of limited size, in limited time.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::error::{Error, Text};
use crate::json::{self, Json};
use crate::listener::Peer;
use crate::repeat::Repeat;

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
    json::parse(&json_text(request, payload).await?)
}

/// The same for a body of up to a thousand rows.
pub(crate) async fn json_rows(request: &HttpRequest, payload: web::Payload) -> Result<Json, Error> {
    json::parse_rows(&json_text(request, payload).await?)
}

/// The body of a request as it is, of up to `bytes_max` bytes.
pub(crate) async fn raw(
    request: &HttpRequest,
    payload: web::Payload,
    bytes_max: usize,
) -> Result<Bytes, Error> {
    check_declared(request, bytes_max)?;
    let read = read(request, payload, bytes_max);
    let body = tokio::time::timeout(WAIT_MAX, read).await.unwrap_or(Err(Error::RequestTimeout))?;
    Ok(body.freeze())
}

fn check_declared(request: &HttpRequest, bytes_max: usize) -> Result<(), Error> {
    let length = request.headers().get(CONTENT_LENGTH);
    let declared = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > bytes_max as u64) {
        Err(Error::PayloadTooLarge)
    } else {
        Ok(())
    }
}

async fn json_text(request: &HttpRequest, payload: web::Payload) -> Result<BytesMut, Error> {
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
    check_declared(request, BODY_BYTES_MAX)?;
    let read = read(request, payload, BODY_BYTES_MAX);
    let body = tokio::time::timeout(WAIT_MAX, read).await.unwrap_or(Err(Error::RequestTimeout))?;
    if let Some(repeat) = Repeat::current() {
        repeat.note_body(&body);
    }
    Ok(body)
}

async fn read(request: &HttpRequest, mut payload: web::Payload, bytes_max: usize) -> Result<BytesMut, Error> {
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
        if body.len() + chunk.len() > bytes_max {
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
