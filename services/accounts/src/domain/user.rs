//! A user as everybody who may see one sees it: no hash, no secret.

use rls::{UserId, UserRole};
use time::OffsetDateTime;

use super::Invalid;
use super::person::Locale;

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) locale: Locale,
    pub(crate) role: UserRole,
    pub(crate) email_verified: bool,
    pub(crate) totp_enabled: bool,
    /// By an admin.
    pub(crate) locked: bool,
    pub(crate) version: i64,
    pub(crate) created_at: OffsetDateTime,
}

/// The word that the database and events use for a role.
pub(crate) fn role_word(role: UserRole) -> &'static str {
    match role {
        UserRole::Customer => "customer",
        UserRole::Staff => "staff",
        UserRole::Admin => "admin",
    }
}

/// Reads such a word.
pub(crate) fn role(field: &str, word: &str) -> Result<UserRole, Invalid> {
    match word {
        "customer" => Ok(UserRole::Customer),
        "staff" => Ok(UserRole::Staff),
        "admin" => Ok(UserRole::Admin),
        _ => Err(Invalid::value(field, "must be customer, staff or admin")),
    }
}
