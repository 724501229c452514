//! Requests that may be sent again: `Idempotency-Key`.
//!
//! The service that has the effect remembers keys, in the transaction of the effect; the gateway only carries them.
//! What a request says travels with its context, like its trace: every change that a handler asks for takes it
//! along ([`Step::attach`]), whether or not the handler has heard of it, and what the service says of it comes back
//! to the front ([`Repeat::replayed`]), which tells the client. A change made in several steps uses a name of its own
//! for each, so that one step is never taken for another.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use sha2::{Digest as _, Sha256};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::error::Error;
use crate::routes::{Repeats, Route};

/// The key, as clients send it (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the answer is that of an earlier request with the same key.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_CHARS_MAX: usize = 255;

const KEY: &str = "mc-idempotency-key";
const ROUTE: &str = "mc-idempotency-route";
const BODY_SHA256: &str = "mc-idempotency-sha256-bin";
const REPLAYED: &str = "mc-idempotent-replayed";
const REQUEST_ID: &str = "mc-idempotent-request-id";

/// One request that may be sent again. Clones are the same request.
#[derive(Debug, Clone)]
pub(crate) struct Repeat(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: MetadataValue<Ascii>,
    /// Method and path as asked.
    target: String,
    body_sha256: OnceLock<[u8; 32]>,
    /// Changes that the request has asked for so far.
    steps: AtomicU32,
    replayed: Mutex<Option<Replayed>>,
}

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// The request that was refused first: its id is part of the document.
    pub(crate) request_id: Option<String>,
}

impl Repeat {
    /// What the request says; `None` when it has no key, or the route takes none.
    pub(crate) fn of(
        route: Route,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Error> {
        if !matches!(*method, Method::POST | Method::PATCH) || route.repeats() == Repeats::Never {
            return Ok(None);
        }
        let mut keys = headers.get_all(IDEMPOTENCY_KEY);
        let Some(key) = keys.next() else { return Ok(None) };
        let printable = |text: &&str| {
            (1..=KEY_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let key = key.to_str().ok().filter(printable).filter(|_| keys.next().is_none());
        let key = key.and_then(|key| key.parse().ok()).ok_or_else(|| {
            Error::parameter(
                "Idempotency-Key",
                "uma vez só, de 1 a 255 caracteres ASCII visíveis, sem espaços",
                "once, 1 to 255 printable ASCII characters without spaces",
            )
        })?;
        Ok(Some(Self(Arc::new(Inner {
            key,
            target: format!("{method} {path}"),
            body_sha256: OnceLock::new(),
            steps: AtomicU32::new(0),
            replayed: Mutex::default(),
        }))))
    }

    /// The one whose request this is part of.
    pub(crate) fn current() -> Option<Self> {
        Context::map_current(|context| context.get::<Self>().cloned())
    }

    /// Notes the body, as it was received.
    pub(crate) fn note_body(&self, body: &[u8]) {
        self.0.body_sha256.get_or_init(|| Sha256::digest(body).into());
    }

    /// The name of the next change of this request. Trying it again does not make it another.
    pub(crate) fn step(self) -> Step {
        let before = self.0.steps.fetch_add(1, Ordering::Relaxed);
        let target = &self.0.target;
        let route = if before == 0 { target.clone() } else { format!("{target}#{}", before + 1) };
        Step { repeat: self, route }
    }

    /// Whether the answer was given before.
    pub(crate) fn replayed(&self) -> Option<Replayed> {
        self.replay().clone()
    }

    fn replay(&self) -> std::sync::MutexGuard<'_, Option<Replayed>> {
        // Its holders only read and set.
        self.0.replayed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One change of a request that may be sent again.
#[derive(Debug)]
pub(crate) struct Step {
    repeat: Repeat,
    route: String,
}

impl Step {
    /// Names key, route and body to the service.
    pub(crate) fn attach(&self, metadata: &mut MetadataMap) {
        let Inner { key, body_sha256, .. } = &*self.repeat.0;
        // A path that cannot be a header value reached no handler.
        let Ok(route) = self.route.parse() else { return };
        let body = body_sha256.get_or_init(|| Sha256::digest(b"").into());
        metadata.insert(KEY, key.clone());
        metadata.insert(ROUTE, route);
        metadata.insert_bin(BODY_SHA256, tonic::metadata::MetadataValue::from_bytes(body));
    }

    /// Hears from reply or refusal whether it was given before.
    pub(crate) fn note(&self, metadata: &MetadataMap) {
        let text = |name| metadata.get(name).and_then(|value: &MetadataValue<Ascii>| value.to_str().ok());
        let replayed = (text(REPLAYED) == Some("true"))
            .then(|| Replayed { request_id: text(REQUEST_ID).map(str::to_owned) });
        *self.repeat.replay() = replayed;
    }
}

impl Replayed {
    /// Tells the client.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
}

/// Refuses a request without a key where one must be.
pub(crate) fn required(headers: &HeaderMap) -> Result<(), Error> {
    if headers.contains_key(IDEMPOTENCY_KEY) { Ok(()) } else { Err(Error::IdempotencyKeyRequired) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeat(keys: &[&[u8]], route: Route, method: &Method) -> Result<Option<Repeat>, u16> {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(key).unwrap());
        }
        let found = Repeat::of(route, method, route.spec().template, &headers);
        found.map_err(|error| error.status().as_u16())
    }

    #[test]
    fn a_key_is_one_line_of_printable_ascii() {
        let long = "k".repeat(255);
        for good in ["k", "0190a5a0-0000-7000-8000-000000000007", "a,b~!\"", &long] {
            assert!(repeat(&[good.as_bytes()], Route::Checkouts, &Method::POST).unwrap().is_some(), "{good}");
        }
        for wrong in ["", " ", "a b", "k\u{e9}", "a\tb", &"k".repeat(256)] {
            assert_eq!(
                repeat(&[wrong.as_bytes()], Route::Checkouts, &Method::POST).err(),
                Some(400),
                "{wrong:?}"
            );
        }
        assert_eq!(repeat(&[b"a", b"a"], Route::Checkouts, &Method::POST).err(), Some(400));
        assert!(repeat(&[], Route::Checkouts, &Method::POST).unwrap().is_none());
    }

    #[test]
    fn only_posts_and_patches_that_may_be_kept_have_one() {
        for (route, method, kept) in [
            (Route::AdminOrder, Method::PATCH, true),
            (Route::AdminOrder, Method::GET, false),
            (Route::AdminCoupon, Method::PUT, false),
            (Route::CartItem, Method::DELETE, false),
            (Route::Login, Method::POST, false),
            (Route::MyTotp, Method::POST, false),
            (Route::PaymentWebhook, Method::POST, false),
        ] {
            assert_eq!(repeat(&[b"k"], route, &method).unwrap().is_some(), kept, "{route:?} {method}");
        }
    }

    #[test]
    fn every_step_has_a_name_of_its_own_and_the_last_one_is_told() {
        let repeat = repeat(&[b"k"], Route::Checkouts, &Method::POST).unwrap().unwrap();
        repeat.note_body(b"{}");
        let (mut one, mut other) = (MetadataMap::new(), MetadataMap::new());
        let step = repeat.clone().step();
        step.attach(&mut one);
        repeat.clone().step().attach(&mut other);
        assert_eq!(one.get(ROUTE).unwrap(), "POST /api/v1/checkout");
        assert_eq!(other.get(ROUTE).unwrap(), "POST /api/v1/checkout#2");
        assert_eq!(one.get(KEY).unwrap(), "k");
        let sha256: [u8; 32] = Sha256::digest(b"{}").into();
        assert_eq!(one.get_bin(BODY_SHA256).unwrap().to_bytes().unwrap().as_ref(), sha256);

        let mut reply = MetadataMap::new();
        reply.insert(REPLAYED, "true".parse().unwrap());
        reply.insert(REQUEST_ID, "first".parse().unwrap());
        step.note(&reply);
        assert_eq!(repeat.replayed(), Some(Replayed { request_id: Some("first".to_owned()) }));
        step.note(&MetadataMap::new());
        assert_eq!(repeat.replayed(), None);
    }
}
