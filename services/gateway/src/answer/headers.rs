//! The headers that every answer has, whatever it says: how long it took, what the cache did, and what browsers
//! may do with it.

use std::time::Duration;

use actix_web::http::header::{
    AGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use bytes::Bytes;

use super::{CacheFacts, SVG};
use crate::gate::Hsts;

const X_RESPONSE_TIME: HeaderName = HeaderName::from_static("x-response-time");
const X_CACHE_HIT: HeaderName = HeaderName::from_static("x-cache-hit");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// How long the answer took, and what the cache did for it (S19, S28, S53).
pub(super) fn measured(headers: &mut HeaderMap, facts: Option<&CacheFacts>, took: Duration) {
    headers.insert(X_RESPONSE_TIME, milliseconds(took));
    cache_headers(headers, facts, took);
}

/// `12ms`. Hits take none, and none is a constant.
fn milliseconds(took: Duration) -> HeaderValue {
    match took.as_millis() {
        0 => HeaderValue::from_static("0ms"),
        1 => HeaderValue::from_static("1ms"),
        ms => ascii(format!("{ms}ms")),
    }
}

/// S28, S53, RFC 9211.
fn cache_headers(headers: &mut HeaderMap, facts: Option<&CacheFacts>, took: Duration) {
    use tag_cache::CacheState as State;
    const TRUE: HeaderValue = HeaderValue::from_static("true");
    const FALSE: HeaderValue = HeaderValue::from_static("false");
    let state = facts.map_or(State::Bypass, |facts| facts.state);
    let (hit, tier) = match state {
        State::HitL1 | State::Stale => (TRUE, "L1"),
        State::HitL2 => (TRUE, "L2"),
        State::Miss | State::Coalesced => (FALSE, "MISS"),
        State::Bypass | State::Error => (FALSE, "BYPASS"),
    };
    headers.insert(X_CACHE_HIT, hit);
    headers.insert(X_CACHE, HeaderValue::from_static(tier));
    let Some(facts) = facts else {
        headers.insert(SERVER_TIMING, timing("app", took));
        return;
    };
    headers.insert(AGE, HeaderValue::from(facts.age.as_secs()));
    let ttl = facts.fresh_left.as_secs();
    let status = match state {
        State::HitL1 => ascii(format!("mestres; hit; ttl={ttl}")),
        State::HitL2 => ascii(format!("mestres; hit; ttl={ttl}; detail=l2")),
        State::Stale => HeaderValue::from_static("mestres; hit; ttl=0; detail=stale"),
        State::Miss if ttl > 0 => ascii(format!("mestres; fwd=miss; stored; ttl={ttl}")),
        State::Miss => HeaderValue::from_static("mestres; fwd=miss"),
        State::Coalesced => HeaderValue::from_static("mestres; fwd=miss; collapsed"),
        State::Bypass | State::Error => HeaderValue::from_static("mestres; fwd=bypass"),
    };
    headers.insert(CACHE_STATUS, status);
    let server_timing = match state {
        State::HitL1 => HeaderValue::from_static("cache;desc=\"L1\""),
        State::HitL2 | State::Stale => timing("cache", took),
        State::Miss | State::Coalesced | State::Bypass | State::Error => timing("origin", took),
    };
    headers.insert(SERVER_TIMING, server_timing);
}

fn timing(what: &str, took: Duration) -> HeaderValue {
    let micros = took.as_micros();
    ascii(format!("{what};dur={}.{}", micros / 1000, micros % 1000 / 100))
}

/// A header value of our own making, without copying it.
pub(super) fn ascii(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("digits, letters and punctuation")
}

/// The headers that every answer has (S217).
pub(crate) fn fixed_headers(headers: &mut HeaderMap, hsts: Hsts) {
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_XSS_PROTECTION, HeaderValue::from_static("1; mode=block"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let svg = headers.get(CONTENT_TYPE).is_some_and(|kind| *kind == SVG);
    let policy = if svg {
        // A drawing may style itself and nothing else.
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    if hsts == Hsts::Send {
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
}
