//! What an access token states.

use serde::{Deserialize, Serialize};

use crate::caller::{Caller, UserId};

/// The role a token may state. There is none for services: they hold no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// A customer of the shop.
    Customer,
    /// An employee.
    Staff,
    /// An administrator.
    Admin,
}

/// The claims of an access token (`typ: at+jwt`, `EdDSA`). All are required; times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued the token.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// The user's id, a positive decimal number.
    pub sub: String,
    /// What the user is.
    pub role: UserRole,
    /// Not valid from here on.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Not valid before.
    pub nbf: i64,
    /// The token's own id.
    pub jti: String,
    /// The session it belongs to; what a revocation names.
    pub sid: String,
}

impl Claims {
    /// The caller these claims state, unless a claim makes no sense.
    pub(crate) fn caller(&self) -> Option<Caller> {
        let id = self.sub.parse().ok().filter(|id| *id > 0).map(UserId)?;
        if self.jti.is_empty() || self.sid.is_empty() {
            return None;
        }
        Some(match self.role {
            UserRole::Customer => Caller::User(id),
            UserRole::Staff => Caller::Staff(id),
            UserRole::Admin => Caller::Admin(id),
        })
    }
}
