//! From a service's assertion to a caller.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};

use crate::assertion::{
    ASSERTION_TYPE, AssertedRole, AssertedUser, AssertionClaims, LIFETIME_S, USER_ISSUER,
};
use crate::caller::{Caller, UserId};
use crate::claims::UserRole;
use crate::jws::{self, Unauthenticated, now_s};
use crate::key_set::{KeySet, KeySetError};

/// How far ahead of ours an issuer's clock may be.
const FUTURE_S: i64 = 30;

/// Who is calling, as another service states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asserted {
    /// What the database is asked as.
    pub caller: Caller,
    /// The user, when the call is made for one.
    pub user: Option<AssertedUser>,
    /// The stating service; none for anonymous callers.
    pub issuer: Option<String>,
    /// The request that the call is made for; none for anonymous callers.
    pub request_id: Option<String>,
}

/// Verifies the assertions that other services make to this one. Cheap to clone.
///
/// Nothing is remembered: an assertion is made for one call.
#[derive(Debug, Clone)]
pub struct Assertions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    keys: KeySet,
    validation: Validation,
}

impl Assertions {
    /// Reads all services' public keys at `path`; assertions must be made to `audience`, this service's name.
    ///
    /// The file is read again when it changes. A key's id begins with the name of the service it belongs to and a
    /// colon; only keys of the gateway may state users and guests.
    ///
    /// # Errors
    /// When the file holds no usable key.
    pub fn from_jwks_file(path: impl AsRef<Path>, audience: &'static str) -> Result<Self, KeySetError> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Checked below, to the second.
        validation.validate_exp = false;
        let keys = KeySet::read(path.as_ref())?;
        Ok(Self { inner: Arc::new(Inner { keys, validation }) })
    }

    /// The caller that an `authorization` header states; without the header, [`Caller::Anonymous`].
    ///
    /// # Errors
    /// When there is a header and it does not prove a caller.
    pub fn caller(&self, authorization: Option<&str>) -> Result<Asserted, Unauthenticated> {
        let Some(authorization) = authorization else {
            return Ok(Asserted { caller: Caller::Anonymous, user: None, issuer: None, request_id: None });
        };
        let token = jws::bearer(authorization)?;
        jws::check_length(token)?;
        let key_id = jws::key_id(token, ASSERTION_TYPE)?;
        let keys = self.inner.keys.current();
        let key = keys.find(&key_id).ok_or(Unauthenticated::UnknownKey)?;
        let claims = jsonwebtoken::decode::<AssertionClaims>(token, key, &self.inner.validation)
            .map_err(|error| jws::refusal(&error))?
            .claims;
        let (owner, _thumbprint) = key_id.split_once(':').ok_or(Unauthenticated::UnknownKey)?;
        asserted(claims, owner, now_s())
    }
}

/// The request that an assertion was made for, as it says. Verify the assertion before believing it.
pub fn stated_request_id(authorization: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Stated {
        rid: String,
    }
    let token = jws::bearer(authorization).ok()?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Stated>(&claims).ok().map(|stated| stated.rid)
}

/// What `claims` state, signed by a key of service `owner`.
fn asserted(claims: AssertionClaims, owner: &str, now: i64) -> Result<Asserted, Unauthenticated> {
    if claims.iss != owner {
        return Err(Unauthenticated::Foreign);
    }
    if now >= claims.exp {
        return Err(Unauthenticated::Expired);
    }
    if claims.iat > now + FUTURE_S {
        return Err(Unauthenticated::NotYet);
    }
    // No issuer may make one that outlives the others.
    if claims.exp.checked_sub(claims.iat).is_none_or(|lifetime| !(1..=LIFETIME_S).contains(&lifetime)) {
        return Err(Unauthenticated::Claims);
    }
    if claims.role != AssertedRole::Service && owner != USER_ISSUER {
        return Err(Unauthenticated::NotEntitled);
    }
    let role = match claims.role {
        AssertedRole::Customer => UserRole::Customer,
        AssertedRole::Staff => UserRole::Staff,
        AssertedRole::Admin => UserRole::Admin,
        AssertedRole::Service => {
            if claims.sub != owner {
                return Err(Unauthenticated::Claims);
            }
            return Ok(Asserted {
                caller: Caller::Service,
                user: None,
                issuer: Some(claims.iss),
                request_id: Some(claims.rid),
            });
        }
        AssertedRole::Guest => {
            let cart_token_sha256 = token_sha256(&claims.sub).ok_or(Unauthenticated::Claims)?;
            let caller = Caller::Guest { cart_token_sha256 };
            return Ok(Asserted {
                caller,
                user: None,
                issuer: Some(claims.iss),
                request_id: Some(claims.rid),
            });
        }
    };
    let id = claims.sub.parse().ok().filter(|id| *id > 0).map(UserId).ok_or(Unauthenticated::Claims)?;
    let session_id = claims.sid.filter(|sid| !sid.is_empty()).ok_or(Unauthenticated::Claims)?;
    let auth_time = claims.auth_time.ok_or(Unauthenticated::Claims)?;
    let user = AssertedUser { id, role, session_id, auth_time };
    Ok(Asserted {
        caller: user.caller(),
        user: Some(user),
        issuer: Some(claims.iss),
        request_id: Some(claims.rid),
    })
}

/// Exactly 64 lower-case hexadecimal digits: one spelling for one guest.
fn token_sha256(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}
