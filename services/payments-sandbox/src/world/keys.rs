//! Idempotency keys, by the provider's rules: the first result counts, whatever it was.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::error::Refusal;

/// How long a first result is kept.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// More than any run uses; afterwards the oldest is forgotten.
const KEYS_MAX: usize = 200_000;

/// Results by key.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    results: HashMap<String, Result>,
    /// Oldest first.
    ages: BTreeMap<(i64, u64), String>,
    in_flight: HashSet<String>,
    count: u64,
}

/// The first result of a key, and of which request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Result {
    pub(crate) path: String,
    pub(crate) fingerprint: String,
    pub(crate) request_id: String,
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) at_ms: i64,
}

/// What a key says to a request.
#[derive(Clone, Debug)]
pub(crate) enum Claim {
    /// Nobody used it; it is in flight now.
    Fresh,
    Replay(Result),
}

impl Keys {
    /// Asks for the key.
    pub(crate) fn claim(
        &mut self,
        key: &str,
        path: &str,
        fingerprint: &str,
        now_ms: i64,
    ) -> std::result::Result<Claim, Refusal> {
        self.forget_old(now_ms);
        if let Some(result) = self.results.get(key) {
            if result.path != path {
                let difference = format!("for the same endpoint ('{path}' vs '{}')", result.path);
                return Err(Refusal::other_request(key, &difference));
            }
            if result.fingerprint != fingerprint {
                return Err(Refusal::other_request(key, "with the same parameters"));
            }
            return Ok(Claim::Replay(result.clone()));
        }
        if !self.in_flight.insert(key.to_owned()) {
            return Err(Refusal::key_in_use(key));
        }
        Ok(Claim::Fresh)
    }

    /// The request that held the key is over.
    pub(crate) fn release(&mut self, key: &str) {
        self.in_flight.remove(key);
    }

    /// Keeps a first result.
    pub(crate) fn put(&mut self, key: &str, result: Result) {
        if self.results.len() >= KEYS_MAX
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.results.remove(&oldest);
        }
        self.count += 1;
        self.ages.insert((result.at_ms, self.count), key.to_owned());
        self.results.insert(key.to_owned(), result);
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Result)> {
        self.results.iter().map(|(key, result)| (key.as_str(), result))
    }

    fn forget_old(&mut self, now_ms: i64) {
        while let Some(oldest) = self.ages.first_entry() {
            if oldest.key().0 + KEPT_MS > now_ms {
                break;
            }
            let key = oldest.remove();
            self.results.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(at_ms: i64) -> Result {
        Result {
            path: "/v1/refunds".to_owned(),
            fingerprint: "f".to_owned(),
            request_id: "req_1".to_owned(),
            status: 200,
            body: "{}".to_owned(),
            at_ms,
        }
    }

    #[test]
    fn a_result_is_kept_for_a_day() {
        let mut keys = Keys::default();
        keys.put("k", result(0));
        assert!(matches!(keys.claim("k", "/v1/refunds", "f", KEPT_MS - 1), Ok(Claim::Replay(_))));
        assert!(matches!(keys.claim("k", "/v1/refunds", "f", KEPT_MS), Ok(Claim::Fresh)));
    }

    #[test]
    fn a_key_belongs_to_one_request() {
        let mut keys = Keys::default();
        keys.put("k", result(0));
        let status = |claim: std::result::Result<Claim, Refusal>| claim.expect_err("another request").status;
        assert_eq!(status(keys.claim("k", "/v1/refunds", "g", 1)), 400);
        assert_eq!(status(keys.claim("k", "/v1/payment_intents", "f", 1)), 400);
        assert!(matches!(keys.claim("new", "/v1/refunds", "f", 1), Ok(Claim::Fresh)));
        assert_eq!(status(keys.claim("new", "/v1/refunds", "f", 1)), 409);
        keys.release("new");
        assert!(matches!(keys.claim("new", "/v1/refunds", "f", 1), Ok(Claim::Fresh)));
    }
}
