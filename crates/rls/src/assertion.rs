//! What one service states to another about who is calling.

use serde::{Deserialize, Serialize};

use crate::caller::{Caller, UserId};
use crate::claims::UserRole;

/// The type in an assertion's header; no other token of ours has it, and an assertion has no other.
pub(crate) const ASSERTION_TYPE: &str = "mc-assert+jwt";
/// How long an assertion is good, in seconds: longer than any call, too short to be worth stealing.
pub(crate) const LIFETIME_S: i64 = 30;
/// The only issuer that meets users and guests, hence the only one that may state them.
pub(crate) const USER_ISSUER: &str = "gateway";

/// A user on whose behalf a service is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertedUser {
    /// Who.
    pub id: UserId,
    /// What the user is.
    pub role: UserRole,
    /// The session of the user's access token; what a revocation names.
    pub session_id: String,
    /// When the user last proved who they are (password, second factor), in Unix seconds.
    pub auth_time: i64,
}

impl AssertedUser {
    /// The caller this user is.
    pub fn caller(&self) -> Caller {
        self.role.caller(self.id)
    }
}

/// The role an assertion may state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AssertedRole {
    Customer,
    Staff,
    Admin,
    Guest,
    Service,
}

impl AssertedRole {
    pub(crate) fn of(role: UserRole) -> Self {
        match role {
            UserRole::Customer => AssertedRole::Customer,
            UserRole::Staff => AssertedRole::Staff,
            UserRole::Admin => AssertedRole::Admin,
        }
    }
}

/// The claims of an assertion; times are Unix seconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AssertionClaims {
    /// The stating service.
    pub(crate) iss: String,
    /// The service that may believe it.
    pub(crate) aud: String,
    /// The user's id; for a guest the SHA-256 of the token, in hexadecimal; for a service its name.
    pub(crate) sub: String,
    pub(crate) role: AssertedRole,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<i64>,
    /// The request it was made for.
    pub(crate) rid: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
}
