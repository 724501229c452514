//! Users as they see themselves, and how to reach them.

use rls::{Tx, UserId};
use time::OffsetDateTime;

use crate::domain::person::Locale;
use crate::domain::user::{self, User};

/// The columns that make a [`User`].
macro_rules! user_columns {
    () => {
        "id, email::text AS email, name, locale, role, email_verified_at IS NOT NULL AS email_verified, \
         totp_enabled, locked_at IS NOT NULL AS locked, version, created_at"
    };
}
pub(super) use user_columns;

/// A row of these columns.
#[derive(sqlx::FromRow)]
pub(super) struct UserRow {
    id: i64,
    email: String,
    name: String,
    locale: String,
    role: String,
    email_verified: bool,
    totp_enabled: bool,
    locked: bool,
    version: i64,
    created_at: OffsetDateTime,
}

/// How to reach a user.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct Contact {
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) locale: String,
    pub(crate) email_verified: bool,
}

/// Addresses stay out of logs.
impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contact").finish_non_exhaustive()
    }
}

rls::statements! {
    PROFILE = concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1 AND deleted_at IS NULL");
    PROFILE_LOCKED =
        concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE");
    UPDATE_PROFILE = concat!(
        "UPDATE users
            SET name = $2, locale = $3, version = version + 1, updated_at = now()
          WHERE id = $1 AND deleted_at IS NULL
      RETURNING ", user_columns!()
    );
    CONTACT =
        "SELECT email::text AS email, name, locale, email_verified_at IS NOT NULL AS email_verified
           FROM users
          WHERE id = $1 AND deleted_at IS NULL";
}

impl UserRow {
    /// The user that the row is.
    pub(super) fn user(self) -> Result<User, sqlx::Error> {
        let broken = |invalid: crate::domain::Invalid| sqlx::Error::Decode(Box::new(invalid));
        Ok(User {
            id: UserId(self.id),
            email: self.email,
            name: self.name,
            locale: Locale::parse("locale", &self.locale).map_err(broken)?,
            role: user::role("role", &self.role).map_err(broken)?,
            email_verified: self.email_verified,
            totp_enabled: self.totp_enabled,
            locked: self.locked,
            version: self.version,
            created_at: self.created_at,
        })
    }
}

/// A user who is not erased.
pub(crate) async fn profile(tx: &mut Tx, id: UserId) -> Result<Option<User>, sqlx::Error> {
    let row: Option<UserRow> =
        sqlx::query_as(PROFILE).bind(id.0).fetch_optional(&mut *tx.statement("SELECT users by id")).await?;
    row.map(UserRow::user).transpose()
}

/// A user who is not erased, locked until the transaction ends.
pub(crate) async fn locked(tx: &mut Tx, id: UserId) -> Result<Option<User>, sqlx::Error> {
    let row: Option<UserRow> = sqlx::query_as(PROFILE_LOCKED)
        .bind(id.0)
        .fetch_optional(&mut *tx.statement("SELECT users for update"))
        .await?;
    row.map(UserRow::user).transpose()
}

/// Writes what people say about themselves.
pub(crate) async fn update(
    tx: &mut Tx,
    id: UserId,
    name: &str,
    locale: Locale,
) -> Result<Option<User>, sqlx::Error> {
    let row: Option<UserRow> = sqlx::query_as(UPDATE_PROFILE)
        .bind(id.0)
        .bind(name)
        .bind(locale.as_str())
        .fetch_optional(&mut *tx.statement("UPDATE users profile"))
        .await?;
    row.map(UserRow::user).transpose()
}

/// How to reach a user who is not erased.
pub(crate) async fn contact(tx: &mut Tx, id: UserId) -> Result<Option<Contact>, sqlx::Error> {
    sqlx::query_as(CONTACT).bind(id.0).fetch_optional(&mut *tx.statement("SELECT users contact")).await
}
