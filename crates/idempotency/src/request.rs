//! A request that may come again: whose it is, and what it asks.

use rls::Caller;
use sha2::{Digest as _, Sha256};
use tonic::metadata::MetadataMap;

use crate::refused::Refused;

/// The client's key; printable ASCII, at most 255 bytes.
const KEY: &str = "mc-idempotency-key";
/// Method and path as asked.
const ROUTE: &str = "mc-idempotency-route";
/// SHA-256 of the body.
const FINGERPRINT: &str = "mc-idempotency-sha256-bin";

const KEY_BYTES_MAX: usize = 255;
const ROUTE_BYTES_MAX: usize = 200;
const REQUEST_ID_CHARS_MAX: usize = 128;

/// One request with an idempotency key, as the gateway announces it.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) scope: String,
    pub(crate) route: String,
    pub(crate) key: String,
    pub(crate) sha256: [u8; 32],
    pub(crate) request_id: String,
}

impl Request {
    /// What the metadata of a call says about its idempotency; `None` without a key, and for callers that have no
    /// keys: nobody, and services in their own name.
    ///
    /// # Errors
    /// [`Refused::Malformed`] when the key is none, or the route or the fingerprint is missing.
    pub fn from_metadata(metadata: &MetadataMap, caller: &Caller) -> Result<Option<Self>, Refused> {
        let Some(key) = metadata.get(KEY) else { return Ok(None) };
        let Some(scope) = scope(caller) else { return Ok(None) };
        let key = key.to_str().map_err(|_not_ascii| Refused::Malformed)?;
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refused::Malformed);
        }
        let route = metadata.get(ROUTE).and_then(|route| route.to_str().ok()).ok_or(Refused::Malformed)?;
        let sha256 = metadata
            .get_bin(FINGERPRINT)
            .and_then(|hash| hash.to_bytes().ok())
            .and_then(|hash| <[u8; 32]>::try_from(hash.as_ref()).ok())
            .ok_or(Refused::Malformed)?;
        let authorization = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let request_id = authorization.and_then(rls::stated_request_id).unwrap_or_default();
        Ok(Some(Self {
            scope,
            route: bounded(route),
            key: key.to_owned(),
            sha256,
            request_id: request_id.chars().take(REQUEST_ID_CHARS_MAX).collect(),
        }))
    }
}

/// The scope of a guest holds the hash of the token, which is as good as the cart.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("route", &self.route)
            .field("key", &self.key)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// The principal, as the policies of the table spell it.
pub(crate) fn scope(caller: &Caller) -> Option<String> {
    match caller {
        Caller::User(id) | Caller::Staff(id) | Caller::Admin(id) => Some(format!("user:{}", id.0)),
        Caller::Guest { cart_token_sha256 } => Some(format!("guest:{}", hex(cart_token_sha256))),
        Caller::Anonymous | Caller::Service => None,
    }
}

/// A route too long for the table is known by its hash.
fn bounded(route: &str) -> String {
    if route.len() <= ROUTE_BYTES_MAX { route.to_owned() } else { hex(&Sha256::digest(route)) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rls::UserId;
    use tonic::metadata::MetadataValue;

    use super::*;

    const ANA: Caller = Caller::User(UserId(7));

    fn metadata(key: &str, route: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert(KEY, key.parse().expect("a header value"));
        metadata.insert(ROUTE, route.parse().expect("a header value"));
        metadata.insert_bin(FINGERPRINT, MetadataValue::from_bytes(&[7; 32]));
        metadata
    }

    #[test]
    fn a_key_belongs_to_its_principal() {
        let of = |caller: &Caller| {
            Request::from_metadata(&metadata("k-1", "POST /api/v1/checkout"), caller).expect("good")
        };
        let scope = |caller: &Caller| of(caller).map(|request| request.scope);
        assert_eq!(scope(&ANA).as_deref(), Some("user:7"));
        assert_eq!(
            scope(&Caller::Staff(UserId(7))).as_deref(),
            Some("user:7"),
            "an employee is also a customer"
        );
        let guest = Caller::Guest { cart_token_sha256: [0xab; 32] };
        assert_eq!(scope(&guest), Some(format!("guest:{}", "ab".repeat(32))));
        assert_eq!(scope(&Caller::Anonymous), None);
        assert_eq!(scope(&Caller::Service), None);
        let shown = format!("{:?}", of(&guest));
        assert!(shown.contains("k-1") && !shown.contains("abab"), "{shown}");
    }

    #[test]
    fn the_first_requests_id_is_the_one_that_its_assertion_states() {
        let request_id = |metadata: &MetadataMap| {
            Request::from_metadata(metadata, &ANA).expect("good").expect("a key").request_id
        };
        let mut asserted = metadata("k-1", "r");
        assert_eq!(request_id(&asserted), "");
        // {"rid":"r-9"}
        let bearer = MetadataValue::from_static("Bearer e30.eyJyaWQiOiJyLTkifQ.c2ln");
        asserted.insert("authorization", bearer);
        assert_eq!(request_id(&asserted), "r-9");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let parse = |metadata: &MetadataMap| Request::from_metadata(metadata, &ANA);
        assert_eq!(parse(&MetadataMap::new()).expect("no key"), None);
        let longest = "k".repeat(255);
        assert_eq!(parse(&metadata(&longest, "r")).expect("good").expect("a key").key, longest);
        for key in ["", "a b", "a\tb", &"k".repeat(256)] {
            assert!(matches!(parse(&metadata(key, "r")), Err(Refused::Malformed)), "{key}");
        }
        let mut without = metadata("k", "r");
        without.remove(ROUTE);
        assert!(matches!(parse(&without), Err(Refused::Malformed)));
        let mut short = metadata("k", "r");
        short.insert_bin(FINGERPRINT, MetadataValue::from_bytes(&[7; 31]));
        assert!(matches!(parse(&short), Err(Refused::Malformed)));
    }

    #[test]
    fn a_long_route_is_known_by_its_hash() {
        let route = |route: &str| {
            let request = Request::from_metadata(&metadata("k", route), &ANA);
            request.expect("good").expect("a key").route
        };
        let (one, other) = ("/".repeat(201), "/".repeat(202));
        assert_eq!(route(&one).len(), 64);
        assert_ne!(route(&one), route(&other));
    }
}
