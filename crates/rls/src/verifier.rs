//! From a user's access token to a caller.

use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, Validation};
use quick_cache::sync::Cache;

use crate::caller::Caller;
use crate::claims::{Authentic, Claims};
use crate::jws::{self, Unauthenticated, now_s};
use crate::key_set::{KeySet, KeySetError};

/// The type in an access token's header.
pub(crate) const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// How far issuer's and verifier's clocks may differ.
const LEEWAY_S: i64 = 30;
/// Verified tokens remembered: a verification costs 100 µs and more, a look-up less than one.
const VERIFIED_MAX: usize = 10_000;

/// Where the verifier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A development issuer is welcome.
    Development,
    /// A development issuer is refused.
    Production,
}

/// Verifies access tokens against a JWKS file. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    keys: KeySet,
    validation: Validation,
    /// Keyed by the token's BLAKE3 hash, so that no token is kept in memory.
    verified: Cache<[u8; 32], Verified>,
}

#[derive(Clone)]
struct Verified {
    authentic: Arc<Authentic>,
    generation: u64,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.inner.keys).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Reads the key set at `path`; tokens must come from `issuer` and be meant for `audience`.
    ///
    /// # Errors
    /// When the file holds no usable key, or `issuer` ends in `.dev` in production.
    pub fn from_jwks_file(
        path: impl AsRef<Path>,
        issuer: &str,
        audience: &str,
        environment: Environment,
    ) -> Result<Self, KeySetError> {
        let development_issuer = issuer.trim_end_matches('/').ends_with(".dev");
        if environment == Environment::Production && development_issuer {
            return Err(KeySetError::DevelopmentIssuer { issuer: issuer.to_owned() });
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_S.unsigned_abs();
        let keys = KeySet::read(path.as_ref())?;
        Ok(Self { inner: Arc::new(Inner { keys, validation, verified: Cache::new(VERIFIED_MAX) }) })
    }

    /// The caller that an `Authorization` header states; without the header, [`Caller::Anonymous`].
    ///
    /// # Errors
    /// When there is a header and it does not prove a caller.
    pub fn caller(&self, authorization: Option<&str>) -> Result<Caller, Unauthenticated> {
        let Some(authorization) = authorization else {
            return Ok(Caller::Anonymous);
        };
        Ok(self.token(jws::bearer(authorization)?)?.caller)
    }

    /// What `token` proves: the caller, the session, and when the user signed in.
    ///
    /// # Errors
    /// When the token does not prove a caller.
    pub fn token(&self, token: &str) -> Result<Authentic, Unauthenticated> {
        jws::check_length(token)?;
        let keys = self.inner.keys.current();
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        if let Some(known) = self.inner.verified.get(&hash)
            && known.generation == keys.generation
        {
            if now_s() >= known.authentic.expires_at + LEEWAY_S {
                self.inner.verified.remove(&hash);
                return Err(Unauthenticated::Expired);
            }
            return Ok(Authentic::clone(&known.authentic));
        }

        let key_id = jws::key_id(token, ACCESS_TOKEN_TYPE)?;
        let key = keys.find(&key_id).ok_or(Unauthenticated::UnknownKey)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.inner.validation)
            .map_err(|error| jws::refusal(&error))?
            .claims;
        if claims.iat > now_s() + LEEWAY_S {
            return Err(Unauthenticated::NotYet);
        }
        let authentic = claims.authentic().ok_or(Unauthenticated::Claims)?;
        let verified = Verified { authentic: Arc::new(authentic.clone()), generation: keys.generation };
        self.inner.verified.insert(hash, verified);
        Ok(authentic)
    }
}
