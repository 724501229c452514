//! Accounts that nobody registered: the first administrator, and the people of the demo shop.

use rls::{Tx, UserId, UserRole};
use time::OffsetDateTime;

use crate::domain::person::Locale;
use crate::domain::user::role_word;

/// An account to be, its address verified by whoever asks for it.
pub(crate) struct Founder {
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) locale: Locale,
    pub(crate) role: UserRole,
    pub(crate) password_hash: String,
}

/// Neither hash nor address shows.
impl std::fmt::Debug for Founder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Founder").field("role", &self.role).finish_non_exhaustive()
    }
}

rls::statements! {
    /// Unless the address has an account.
    FOUND =
        "INSERT INTO users (email, name, locale, role, password_hash, email_verified_at, created_at, updated_at)
         VALUES ($1::citext, $2::text, $3::text, $4::text, $5::text, $6::timestamptz, $6, $6)
         ON CONFLICT (email) DO NOTHING
         RETURNING id";
    /// Those of these addresses that have an account.
    FOUNDED = "SELECT email::text FROM users WHERE email = ANY ($1::citext[])";
}

/// Makes the account; none when the address has one.
pub(crate) async fn found(
    tx: &mut Tx,
    founder: &Founder,
    now: OffsetDateTime,
) -> Result<Option<UserId>, sqlx::Error> {
    let id: Option<i64> = sqlx::query_scalar(FOUND)
        .bind(&founder.email)
        .bind(&founder.name)
        .bind(founder.locale.as_str())
        .bind(role_word(founder.role))
        .bind(&founder.password_hash)
        .bind(now)
        .fetch_optional(&mut *tx.statement("INSERT users"))
        .await?;
    Ok(id.map(UserId))
}

/// Those of these addresses that have an account.
pub(crate) async fn founded(tx: &mut Tx, emails: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(FOUNDED).bind(emails).fetch_all(&mut *tx.statement("SELECT users by address")).await
}
