//! A user made unrecognisable: the row stays for what refers to its id, and says nothing about a person.

use rls::{Tx, UserId};

/// What is needed of a user for the last time.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct Farewell {
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) locale: String,
    pub(crate) role: String,
}

/// Addresses stay out of logs.
impl std::fmt::Debug for Farewell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Farewell").finish_non_exhaustive()
    }
}

rls::statements! {
    FAREWELL =
        "SELECT email::text AS email, name, locale, role
           FROM users
          WHERE id = $1 AND deleted_at IS NULL
            FOR UPDATE";
    /// `.invalid` can have no mail box (RFC 2606); the id keeps addresses apart.
    ANONYMISE =
        "UPDATE users
            SET email = 'erased-' || id || '@erased.invalid', name = '-', password_hash = NULL,
                password_is_short = false, totp_enabled = false, role = 'customer', locale = 'pt-BR',
                email_verified_at = NULL, locked_at = NULL, locked_reason = NULL,
                version = version + 1, updated_at = now(), deleted_at = now()
          WHERE id = $1 AND deleted_at IS NULL
      RETURNING version";
    /// They stay until the revocations that name them have served.
    ANONYMISE_SESSIONS = "UPDATE sessions SET user_agent = '', address = '' WHERE user_id = $1";
    ERASE_ADDRESSES = "DELETE FROM addresses WHERE user_id = $1";
    ERASE_REFRESH_TOKENS = "DELETE FROM refresh_tokens WHERE user_id = $1";
    ERASE_MAIL_TOKENS = "DELETE FROM mail_tokens WHERE user_id = $1";
    ERASE_DEVICES = "DELETE FROM devices WHERE user_id = $1";
    ERASE_SECOND_FACTORS = "DELETE FROM second_factors WHERE user_id = $1";
}

/// What hangs on a user and goes with them.
const ERASE: [(&str, &str); 6] = [
    (ANONYMISE_SESSIONS, "UPDATE sessions of erased"),
    (ERASE_ADDRESSES, "DELETE addresses of erased"),
    (ERASE_REFRESH_TOKENS, "DELETE refresh_tokens of erased"),
    (ERASE_MAIL_TOKENS, "DELETE mail_tokens of erased"),
    (ERASE_DEVICES, "DELETE devices of erased"),
    (ERASE_SECOND_FACTORS, "DELETE second_factors of erased"),
];

/// The user as they were, locked until the transaction ends; none when they are erased already.
pub(crate) async fn farewell(tx: &mut Tx, user: UserId) -> Result<Option<Farewell>, sqlx::Error> {
    sqlx::query_as(FAREWELL).bind(user.0).fetch_optional(&mut *tx.statement("SELECT users for erasure")).await
}

/// Replaces or removes all that tells who the user was; answers the version of what is left of them.
pub(crate) async fn erase(tx: &mut Tx, user: UserId) -> Result<i64, sqlx::Error> {
    for (statement, name) in ERASE {
        sqlx::query(statement).bind(user.0).execute(&mut *tx.statement(name)).await?;
    }
    sqlx::query_scalar(ANONYMISE).bind(user.0).fetch_one(&mut *tx.statement("UPDATE users erase")).await
}
