//! From a bearer token to a caller.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use quick_cache::sync::Cache;

use crate::caller::Caller;
use crate::claims::Claims;
use crate::key_set::{KeySet, KeySetError};

/// How far issuer's and verifier's clocks may differ.
const LEEWAY_S: i64 = 30;
/// Longer tokens are refused unread.
const TOKEN_BYTES_MAX: usize = 4096;
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

/// Why a token does not say who is calling. The text never shows the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// Not `Bearer <token>`.
    #[error("authorization is not a bearer token")]
    Scheme,
    /// Longer than any token we issue.
    #[error("token is too long")]
    TooLong,
    /// Not a token at all.
    #[error("token is malformed")]
    Malformed,
    /// Another algorithm, type, or header than ours.
    #[error("token is of another kind")]
    Kind,
    /// Signed by a key that is not in the key set.
    #[error("token is signed with an unknown key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("token signature is invalid")]
    Signature,
    /// Too old.
    #[error("token has expired")]
    Expired,
    /// Not valid yet.
    #[error("token is not valid yet")]
    NotYet,
    /// From another issuer, or for another audience.
    #[error("token is from another issuer or for another audience")]
    Foreign,
    /// A claim is missing or makes no sense.
    #[error("token claims are missing or invalid")]
    Claims,
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

#[derive(Clone, Copy)]
struct Verified {
    caller: Caller,
    exp: i64,
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
        match authorization.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => self.token(token.trim()),
            _ => Err(Unauthenticated::Scheme),
        }
    }

    /// The caller that `token` states.
    ///
    /// # Errors
    /// When the token does not prove a caller.
    pub fn token(&self, token: &str) -> Result<Caller, Unauthenticated> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Unauthenticated::TooLong);
        }
        let keys = self.inner.keys.current();
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        if let Some(known) = self.inner.verified.get(&hash)
            && known.generation == keys.generation
        {
            if now_s() >= known.exp + LEEWAY_S {
                self.inner.verified.remove(&hash);
                return Err(Unauthenticated::Expired);
            }
            return Ok(known.caller);
        }

        let header = jsonwebtoken::decode_header(token).map_err(|error| refusal(&error))?;
        let key_id = our_kind(&header).ok_or(Unauthenticated::Kind)?;
        let key = keys.find(key_id).ok_or(Unauthenticated::UnknownKey)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.inner.validation)
            .map_err(|error| refusal(&error))?
            .claims;
        if claims.iat > now_s() + LEEWAY_S {
            return Err(Unauthenticated::NotYet);
        }
        let caller = claims.caller().ok_or(Unauthenticated::Claims)?;
        self.inner.verified.insert(hash, Verified { caller, exp: claims.exp, generation: keys.generation });
        Ok(caller)
    }
}

/// The key id of a header that our issuer could have written.
///
/// Headers that bring their own key, name where to fetch one, or demand an extension are refused.
fn our_kind(header: &Header) -> Option<&str> {
    let access_token = header.typ.as_deref().is_some_and(|typ| {
        let typ = typ.to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ) == "at+jwt"
    });
    let plain = header.jku.is_none()
        && header.jwk.is_none()
        && header.x5u.is_none()
        && header.x5c.is_none()
        && header.crit.is_none()
        && header.enc.is_none()
        && header.zip.is_none();
    let ours = access_token && plain && header.alg == Algorithm::EdDSA;
    header.kid.as_deref().filter(|_| ours)
}

fn refusal(error: &jsonwebtoken::errors::Error) -> Unauthenticated {
    match error.kind() {
        ErrorKind::InvalidSignature => Unauthenticated::Signature,
        ErrorKind::ExpiredSignature => Unauthenticated::Expired,
        ErrorKind::ImmatureSignature => Unauthenticated::NotYet,
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => Unauthenticated::Foreign,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            Unauthenticated::Claims
        }
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::MissingAlgorithm => {
            Unauthenticated::Kind
        }
        _ => Unauthenticated::Malformed,
    }
}

fn now_s() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
