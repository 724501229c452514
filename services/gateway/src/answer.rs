//! An answer on its way out: the bytes in the encoding that the client accepts, and the headers that say what
//! they are, how old, and where they came from.

mod body;
mod form;
mod headers;

use std::time::Duration;

use actix_http::Response;
use actix_http::body::{BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use bytes::Bytes;
use latency::{CacheState, Timing};
use tag_cache::Served;

pub(crate) use self::body::Body;
pub(crate) use self::headers::fixed_headers;
use crate::cache_policy::{Form, Read};
use crate::error::Error;
use crate::negotiation::{Accepted, Encoding, none_match_names};
use crate::problem::{self, Language};
use crate::representation::{COMPRESSED_BYTES_MIN, Compressed, Head, Kind, content_hash, form_once};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SVG: HeaderValue = HeaderValue::from_static("image/svg+xml");
const CALENDAR: HeaderValue = HeaderValue::from_static("text/calendar; charset=utf-8");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Everything but the headers that every answer has.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Headers,
    pub(crate) body: Payload,
    /// What the cache did; absent for routes that have none.
    pub(crate) cache: Option<CacheFacts>,
    /// Set when the cache knows that there is nothing: the problem document is the request's own.
    pub(crate) absent: Option<CacheFacts>,
}

/// The headers of one answer.
#[derive(Debug)]
pub(crate) enum Headers {
    /// Those of a representation.
    Of {
        content_type: HeaderValue,
        cache_control: HeaderValue,
        vary: HeaderValue,
        etag: Option<HeaderValue>,
        encoding: Encoding,
        /// Facts of a list, for the answers that show them here.
        facts: Option<Box<HeaderMap>>,
    },
    /// Those that a handler or a problem set.
    Set(HeaderMap),
}

/// The bytes.
#[derive(Debug)]
pub(crate) enum Payload {
    Bytes(Bytes),
    Boxed(BoxBody),
}

/// What the cache did for one answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheFacts {
    state: tag_cache::CacheState,
    age: Duration,
    fresh_left: Duration,
}

impl Headers {
    /// Whether the body is a stream of events, which ends when its reader leaves.
    fn are_of_events(&self) -> bool {
        let Self::Set(headers) = self else { return false };
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream")
    }
}

impl CacheFacts {
    fn of(served: &Served) -> Self {
        Self { state: served.state, age: served.age, fresh_left: served.fresh_left }
    }

    /// The same for the timings.
    pub(crate) fn state(&self) -> CacheState {
        match self.state {
            tag_cache::CacheState::HitL1 => CacheState::HitL1,
            tag_cache::CacheState::HitL2 => CacheState::HitL2,
            tag_cache::CacheState::Stale => CacheState::Stale,
            tag_cache::CacheState::Miss => CacheState::Miss,
            tag_cache::CacheState::Coalesced => CacheState::Coalesced,
            tag_cache::CacheState::Bypass => CacheState::Bypass,
            tag_cache::CacheState::Error => CacheState::Error,
        }
    }
}

/// The answer that the cache gave, if it can be encoded without waiting.
pub(crate) fn served_now(
    compressed: &Compressed,
    served: &Served,
    read: &Read,
    accepted: Accepted,
    none_match: Option<&str>,
) -> Result<Option<Answer>, Error> {
    let Found { head, encoding, facts, body } = match Found::of(served, accepted, none_match, read)? {
        Ok(found) => found,
        Err(done) => return Ok(Some(*done)),
    };
    let form = compressed.now(compressed_by(read, &head, &body, encoding), &body, encoding);
    Ok(form.map(|form| representation(&head, encoding, read, form, facts)))
}

/// The answer that the cache gave.
pub(crate) async fn served(
    compressed: &Compressed,
    served: &Served,
    read: &Read,
    accepted: Accepted,
    none_match: Option<&str>,
) -> Result<Answer, Error> {
    let Found { head, encoding, facts, body } = match Found::of(served, accepted, none_match, read)? {
        Ok(found) => found,
        Err(done) => return Ok(*done),
    };
    let form = compressed.form(compressed_by(read, &head, &body, encoding), &body, encoding).await;
    Ok(representation(&head, encoding, read, form, facts))
}

/// What compressed forms of an answer are found by: the hash of exactly what is compressed.
fn compressed_by(read: &Read, head: &Head<'_>, body: &Bytes, encoding: Encoding) -> [u8; 16] {
    match (read.form(), encoding) {
        // The entry's hash is that of its body, unless it is a list.
        (Form::Whole, _) | (_, Encoding::Identity) => head.hash(),
        (Form::Bare | Form::Data(_), Encoding::Gzip | Encoding::Brotli) => content_hash(body),
    }
}

/// An entry that has a body to send.
struct Found<'s> {
    head: Head<'s>,
    encoding: Encoding,
    facts: CacheFacts,
    body: Bytes,
}

impl<'s> Found<'s> {
    /// The entry, or the answer when there is no body to send.
    fn of(
        served: &'s Served,
        accepted: Accepted,
        none_match: Option<&str>,
        read: &Read,
    ) -> Result<Result<Self, Box<Answer>>, Error> {
        let facts = CacheFacts::of(served);
        let head = Head::decode(served.entry.head()).ok_or_else(|| {
            tracing::error!("a cached entry has a head that this release does not know");
            Error::Internal
        })?;
        if head.kind() == Kind::Absent {
            return Ok(Err(Box::new(Answer::absent(facts))));
        }
        let body = form::body(read.form(), &head, served.entry.body());
        let encoding = if body.len() >= COMPRESSED_BYTES_MIN { accepted.large } else { accepted.small };
        if none_match.is_some_and(|named| none_match_names(named, &form::etag(read.form(), &head, encoding)))
        {
            let mut answer = representation(&head, encoding, read, Bytes::new(), facts);
            answer.status = StatusCode::NOT_MODIFIED;
            return Ok(Err(Box::new(answer)));
        }
        Ok(Ok(Self { head, encoding, facts, body }))
    }
}

fn representation(
    head: &Head<'_>,
    encoding: Encoding,
    read: &Read,
    body: Bytes,
    facts: CacheFacts,
) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: Headers::Of {
            content_type: match head.kind() {
                Kind::Json | Kind::Absent => JSON,
                Kind::Svg => SVG,
                Kind::Calendar => CALENDAR,
            },
            cache_control: HeaderValue::from_static(read.cache_control()),
            vary: HeaderValue::from_static(read.vary()),
            etag: Some(form::etag_value(read.form(), head, encoding)),
            encoding,
            facts: form::facts(read, head),
        },
        body: Payload::Bytes(body),
        cache: Some(facts),
        absent: None,
    }
}

/// The answer of an application route, compressed when it is worth it and carries no version of its own.
pub(crate) async fn from_app(
    compressed: &Compressed,
    response: Response<BoxBody>,
    accepted: Accepted,
) -> Answer {
    let status = response.status();
    let (response, body) = response.into_parts();
    let mut headers = response.headers().clone();
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, PRIVATE);
    }
    let strong = headers.get(ETAG).is_some_and(|tag| !tag.as_bytes().starts_with(b"W/"));
    let body = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => {
            return Answer {
                status,
                headers: Headers::Set(headers),
                body: Payload::Boxed(body),
                cache: None,
                absent: None,
            };
        }
    };
    let mut encoding = Encoding::Identity;
    if !strong && !body.is_empty() {
        encoding = if body.len() >= COMPRESSED_BYTES_MIN { accepted.large } else { accepted.small };
        headers.insert(VARY, ACCEPT_ENCODING);
    }
    let body = match encoding {
        Encoding::Identity => body,
        // What has an entity tag will be asked for again; the rest differs each time.
        _ if headers.contains_key(ETAG) => compressed.form(content_hash(&body), &body, encoding).await,
        Encoding::Gzip | Encoding::Brotli => form_once(&body, encoding).await,
    };
    if let Some(name) = encoding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    Answer { status, headers: Headers::Set(headers), body: Payload::Bytes(body), cache: None, absent: None }
}

impl Answer {
    fn absent(facts: CacheFacts) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            headers: Headers::Set(HeaderMap::new()),
            body: Payload::Bytes(Bytes::new()),
            cache: None,
            absent: Some(facts),
        }
    }

    /// A problem document.
    pub(crate) fn problem(error: &Error, language: Language, path: &str, request_id: &str) -> Self {
        let body = Bytes::from(problem::document(error, language, path, request_id));
        let mut headers = HeaderMap::with_capacity(24);
        headers.insert(CONTENT_TYPE, PROBLEM);
        headers.insert(CACHE_CONTROL, PRIVATE);
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.insert(VARY, HeaderValue::from_static("accept-language"));
        match error {
            Error::MethodNotAllowed { allow } => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            Error::Unauthenticated | Error::InvalidCredentials | Error::TotpRequired => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Error::RateLimited { retry_after_s } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(*retry_after_s));
            }
            Error::Refused(refusal, _) => {
                if let Some(seconds) = refusal.retry_after_s() {
                    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
                }
            }
            Error::Overloaded | Error::UpstreamUnavailable | Error::SessionCheckUnavailable => {
                // Clients that were turned away together should not come back together.
                headers.insert(RETRY_AFTER, HeaderValue::from(fastrand::u16(1..=3)));
            }
            Error::PaymentDeclined { token: Some(token), .. } => token.clone().write(&mut headers),
            Error::PreconditionFailed { current: Some(current) } => {
                if let Ok(etag) = HeaderValue::from_str(&current.etag) {
                    headers.insert(ETAG, etag);
                }
            }
            _ => {}
        }
        Self {
            status: error.status(),
            headers: Headers::Set(headers),
            body: Payload::Bytes(body),
            cache: None,
            absent: None,
        }
    }

    /// The response; its body takes the timing along.
    pub(crate) fn into_response(self, timing: Timing, took: Duration) -> Response<Body> {
        let body = match self.body {
            Payload::Bytes(bytes) => Body::of(bytes, timing),
            // Told when something happens: how long that takes says nothing about us.
            Payload::Boxed(inner) if self.headers.are_of_events() => {
                timing.finish();
                Body::Stream { inner, timing: None }
            }
            Payload::Boxed(inner) => Body::Stream { inner, timing: Some(timing) },
        };
        let mut response = Response::with_body(self.status, body);
        let headers = response.headers_mut();
        match self.headers {
            Headers::Of { content_type, cache_control, vary, etag, encoding, facts } => {
                if self.status != StatusCode::NOT_MODIFIED {
                    headers.insert(CONTENT_TYPE, content_type);
                    if let Some(name) = encoding.name() {
                        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
                    }
                }
                headers.insert(CACHE_CONTROL, cache_control);
                headers.insert(VARY, vary);
                if let Some(etag) = etag {
                    headers.insert(ETAG, etag);
                }
                for (name, value) in facts.into_iter().flat_map(|facts| *facts) {
                    headers.insert(name, value);
                }
            }
            Headers::Set(set) => *headers = set,
        }
        headers::measured(headers, self.cache.as_ref(), took);
        response
    }
}
