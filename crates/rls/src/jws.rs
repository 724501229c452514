//! What all our signed tokens have in common: their shape, the header we accept, and why one is refused.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header};

/// Longer tokens are refused unread.
const TOKEN_BYTES_MAX: usize = 4096;

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
    /// The issuer may not state what the claims state.
    #[error("token states what its issuer may not")]
    NotEntitled,
}

/// The token of an `Authorization` header's value.
pub(crate) fn bearer(authorization: &str) -> Result<&str, Unauthenticated> {
    match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Unauthenticated::Scheme),
    }
}

/// Refuses what is too long to be read.
pub(crate) fn check_length(token: &str) -> Result<(), Unauthenticated> {
    if token.len() > TOKEN_BYTES_MAX { Err(Unauthenticated::TooLong) } else { Ok(()) }
}

/// The key id in the header of `token`, if one of our issuers could have written it with type `typ`.
///
/// Headers that bring their own key, name where to fetch one, or demand an extension are refused.
pub(crate) fn key_id(token: &str, typ: &str) -> Result<String, Unauthenticated> {
    let header = jsonwebtoken::decode_header(token).map_err(|error| refusal(&error))?;
    if !is_ours(&header, typ) {
        return Err(Unauthenticated::Kind);
    }
    header.kid.ok_or(Unauthenticated::Kind)
}

fn is_ours(header: &Header, typ: &str) -> bool {
    let same_type = header.typ.as_deref().is_some_and(|stated| {
        let stated = stated.to_ascii_lowercase();
        stated.strip_prefix("application/").unwrap_or(&stated) == typ
    });
    let plain = header.jku.is_none()
        && header.jwk.is_none()
        && header.x5u.is_none()
        && header.x5c.is_none()
        && header.crit.is_none()
        && header.enc.is_none()
        && header.zip.is_none();
    same_type && plain && header.alg == Algorithm::EdDSA
}

pub(crate) fn refusal(error: &jsonwebtoken::errors::Error) -> Unauthenticated {
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

/// Unix seconds.
pub(crate) fn now_s() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
