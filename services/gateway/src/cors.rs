//! Which other origins may read our answers from a browser (the Fetch standard's CORS protocol).
//!
//! A listed origin is echoed exactly; any other gets no header at all, so that its browser keeps the answer from it.

use std::str::FromStr;

use actix_web::http::Method;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};

use crate::answer::{Answer, Headers, Payload};

/// Request headers that a page of a listed origin may set.
const ALLOWED_HEADERS: &str = "authorization, content-type, accept-language, if-match, if-none-match, \
     idempotency-key, last-event-id, x-cache-token, x-cart-token, x-order-token, x-request-id";
/// Answer headers that it may read beyond the harmless ones.
const EXPOSED_HEADERS: &str = "etag, idempotent-replayed, link, location, ratelimit, ratelimit-policy, retry-after, server-timing, \
     x-cache, x-cache-hit, x-cache-token, x-cart-token, x-limit, x-page, x-request-id, x-response-time, x-total-count, \
     x-unread-count";
/// Seconds for which a browser need not ask again.
const PREFLIGHT_MAX_AGE: &str = "600";

/// Origins as browsers write them: `https://shop.example`, `http://localhost:5173`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<HeaderValue>);

/// Why a list of origins cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin")]
pub struct NoOrigin(String);

impl FromStr for Origins {
    type Err = NoOrigin;

    /// Origins separated by commas. What no browser would ever send is a mistake: a path, a trailing slash,
    /// capitals, `*`, `null`.
    fn from_str(list: &str) -> Result<Self, NoOrigin> {
        let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
        let origin = |part: &str| {
            let host = part.strip_prefix("https://").or_else(|| part.strip_prefix("http://"));
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
            let good = host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain));
            let value = HeaderValue::from_str(part).ok().filter(|_| good);
            value.ok_or_else(|| NoOrigin(part.to_owned()))
        };
        parts.map(origin).collect::<Result<_, _>>().map(Self)
    }
}

impl Origins {
    /// Whether this is one of them.
    pub(crate) fn list(&self, origin: &HeaderValue) -> bool {
        self.0.contains(origin)
    }

    /// The request's origin, if it is one of them.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        let mut origins = headers.get_all(ORIGIN);
        let origin = origins.next().filter(|_| origins.next().is_none())?;
        self.list(origin).then(|| origin.clone())
    }

    /// Lets the listed `origin` read an answer. Answers differ by origin as soon as any is listed, which
    /// shared caches must know.
    pub(crate) fn write(&self, headers: &mut HeaderMap, origin: Option<HeaderValue>) {
        if self.0.is_empty() {
            return;
        }
        headers.append(VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

/// The answer to a listed origin's browser that asks before it sends: `allow` are the route's methods.
pub(crate) fn preflight(method: &Method, headers: &HeaderMap, allow: &'static str) -> Option<Answer> {
    if *method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut answer = HeaderMap::with_capacity(24);
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(allow));
    answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_MAX_AGE));
    Some(Answer {
        status: StatusCode::NO_CONTENT,
        headers: Headers::Set(answer),
        body: Payload::Bytes(bytes::Bytes::new()),
        cache: None,
        absent: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_are_listed() {
        for good in ["", "https://a.example", "http://localhost:5173, https://b.example", "http://[::1]:80"] {
            assert!(good.parse::<Origins>().is_ok(), "{good}");
        }
        for bad in
            ["*", "null", "a.example", "https://a.example/", "https://A.example", "ftp://a", "https://"]
        {
            assert_eq!(bad.parse::<Origins>(), Err(NoOrigin(bad.to_owned())));
        }
    }
}
