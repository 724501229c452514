//! What an access token states.

use serde::{Deserialize, Serialize};

use crate::assertion::AssertedUser;
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

impl UserRole {
    /// The caller that user `id` in this role is.
    pub fn caller(self, id: UserId) -> Caller {
        match self {
            UserRole::Customer => Caller::User(id),
            UserRole::Staff => Caller::Staff(id),
            UserRole::Admin => Caller::Admin(id),
        }
    }
}

/// The claims of an access token (`typ: at+jwt`, `EdDSA`). All but `auth_time` are required; times are Unix seconds.
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
    /// When the user last proved who they are; when absent, at `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
}

impl Claims {
    /// What these claims prove, unless a claim makes no sense.
    pub(crate) fn authentic(self) -> Option<Authentic> {
        let id = self.sub.parse().ok().filter(|id| *id > 0).map(UserId)?;
        let auth_time = self.auth_time.unwrap_or(self.iat);
        if self.jti.is_empty() || self.sid.is_empty() || auth_time > self.iat {
            return None;
        }
        Some(Authentic {
            caller: self.role.caller(id),
            session_id: self.sid,
            auth_time,
            issued_at: self.iat,
            expires_at: self.exp,
        })
    }
}

/// What a verified access token proves; times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentic {
    /// Who is calling: a user, an employee or an administrator.
    pub caller: Caller,
    /// The session the token belongs to.
    pub session_id: String,
    /// When the user last proved who they are.
    pub auth_time: i64,
    /// When the token was issued.
    pub issued_at: i64,
    /// When it ends.
    pub expires_at: i64,
}

impl Authentic {
    /// The user to state to other services.
    pub fn user(&self) -> Option<AssertedUser> {
        let (id, role) = match self.caller {
            Caller::User(id) => (id, UserRole::Customer),
            Caller::Staff(id) => (id, UserRole::Staff),
            Caller::Admin(id) => (id, UserRole::Admin),
            Caller::Anonymous | Caller::Guest { .. } | Caller::Service => return None,
        };
        Some(AssertedUser { id, role, session_id: self.session_id.clone(), auth_time: self.auth_time })
    }
}
