//! Users with what proves who they are. Reached by the service alone.

use rls::{Tx, UserId};
use sqlx::FromRow;
use time::OffsetDateTime;

use crate::domain::password::PasswordLength;
use crate::domain::person::Locale;
use crate::domain::user::{self, User};
use crate::error::Error;
use crate::secrets::Sha256Hash;

rls::statements! {
    /// A new user, unless the address has one.
    REGISTER = "INSERT INTO users (email, name, locale, password_hash, created_at, updated_at)
                VALUES ($1::citext, $2::text, $3::text, $4::text, $5::timestamptz, $5)
                ON CONFLICT (email) DO NOTHING
                RETURNING id";
    ID_OF = "SELECT id FROM users WHERE email = $1::citext AND deleted_at IS NULL";
    /// Whom a mail address belongs to, and whether they have signed in on this device before.
    OF_EMAIL = "SELECT u.id, u.email::text AS email, u.name, u.locale, u.role, u.email_verified_at IS NOT NULL AS email_verified,
                       u.totp_enabled, u.locked_at IS NOT NULL AS locked, u.version, u.created_at, u.password_hash,
                       EXISTS (SELECT FROM devices d WHERE d.user_id = u.id AND d.device_sha256 = $2::bytea) AS device_known
                  FROM users u WHERE u.email = $1::citext AND u.deleted_at IS NULL";
    OF_USER = "SELECT u.id, u.email::text AS email, u.name, u.locale, u.role, u.email_verified_at IS NOT NULL AS email_verified,
                      u.totp_enabled, u.locked_at IS NOT NULL AS locked, u.version, u.created_at, u.password_hash,
                      false AS device_known
                 FROM users u WHERE u.id = $1::bigint AND u.deleted_at IS NULL";
    /// Keeps the user as they are until the end, if their password is still this one.
    HOLD = "SELECT totp_enabled FROM users
             WHERE id = $1::bigint AND password_hash = $2::text AND locked_at IS NULL AND deleted_at IS NULL
               FOR NO KEY UPDATE";
    /// The same password, hashed by today's parameters.
    REHASH = "UPDATE users SET password_hash = $2::text WHERE id = $1::bigint";
    SET_PASSWORD = "UPDATE users SET password_hash = $2::text, password_is_short = $3::bool, updated_at = $4::timestamptz
                     WHERE id = $1::bigint AND deleted_at IS NULL";
    /// Nothing when it was verified before.
    VERIFY_EMAIL = "UPDATE users SET email_verified_at = $2::timestamptz, version = version + 1, updated_at = $2
                     WHERE id = $1::bigint AND email_verified_at IS NULL AND deleted_at IS NULL
                    RETURNING version";
    /// Nothing when it is so already, or when the password would be too short to stand alone.
    ENABLE_TOTP = "UPDATE users SET totp_enabled = true, version = version + 1, updated_at = $2::timestamptz
                    WHERE id = $1::bigint AND NOT totp_enabled AND deleted_at IS NULL
                   RETURNING version";
    DISABLE_TOTP = "UPDATE users SET totp_enabled = false, version = version + 1, updated_at = $2::timestamptz
                     WHERE id = $1::bigint AND totp_enabled AND NOT password_is_short AND deleted_at IS NULL
                    RETURNING version";
}

/// A user's row with their password's hash.
#[derive(FromRow)]
struct CredentialsRow {
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
    password_hash: Option<String>,
    device_known: bool,
}

/// A user and what proves them. `Debug` shows no hash.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: User,
    pub(crate) password_hash: Option<String>,
    /// The user has signed in on the device that was asked about.
    pub(crate) device_known: bool,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user.id", &self.user.id).finish_non_exhaustive()
    }
}

impl TryFrom<CredentialsRow> for Credentials {
    type Error = Error;

    fn try_from(row: CredentialsRow) -> Result<Self, Error> {
        Ok(Self {
            user: User {
                id: UserId(row.id),
                email: row.email,
                name: row.name,
                locale: Locale::parse("locale", &row.locale)?,
                role: user::role("role", &row.role)?,
                email_verified: row.email_verified,
                totp_enabled: row.totp_enabled,
                locked: row.locked,
                version: row.version,
                created_at: row.created_at,
            },
            password_hash: row.password_hash,
            device_known: row.device_known,
        })
    }
}

/// What a registration writes.
pub(crate) struct NewUser {
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) locale: Locale,
    pub(crate) password_hash: String,
}

pub(crate) async fn register(
    tx: &mut Tx,
    new: &NewUser,
    now: OffsetDateTime,
) -> Result<Option<UserId>, Error> {
    let id = sqlx::query_scalar(REGISTER)
        .bind(&new.email)
        .bind(&new.name)
        .bind(new.locale.as_str())
        .bind(&new.password_hash)
        .bind(now)
        .fetch_optional(&mut *tx.statement("INSERT users"))
        .await?;
    Ok(id.map(UserId))
}

pub(crate) async fn id_of(tx: &mut Tx, email: &str) -> Result<Option<UserId>, Error> {
    let id = sqlx::query_scalar(ID_OF).bind(email).fetch_optional(&mut *tx.statement("SELECT users")).await?;
    Ok(id.map(UserId))
}

pub(crate) async fn of_email(
    tx: &mut Tx,
    email: &str,
    device: &Sha256Hash,
) -> Result<Option<Credentials>, Error> {
    let row: Option<CredentialsRow> = sqlx::query_as(OF_EMAIL)
        .bind(email)
        .bind(&device[..])
        .fetch_optional(&mut *tx.statement("SELECT users"))
        .await?;
    row.map(Credentials::try_from).transpose()
}

pub(crate) async fn of_user(tx: &mut Tx, user: UserId) -> Result<Option<Credentials>, Error> {
    let row: Option<CredentialsRow> =
        sqlx::query_as(OF_USER).bind(user.0).fetch_optional(&mut *tx.statement("SELECT users")).await?;
    row.map(Credentials::try_from).transpose()
}

/// Whether the user has a second factor, if they may still sign in with the password of this hash. They may
/// until the transaction ends.
pub(crate) async fn hold(tx: &mut Tx, user: UserId, password_hash: &str) -> Result<Option<bool>, Error> {
    let totp_enabled = sqlx::query_scalar(HOLD)
        .bind(user.0)
        .bind(password_hash)
        .fetch_optional(&mut *tx.statement("SELECT users"))
        .await?;
    Ok(totp_enabled)
}

pub(crate) async fn rehash(tx: &mut Tx, user: UserId, password_hash: &str) -> Result<(), Error> {
    sqlx::query(REHASH).bind(user.0).bind(password_hash).execute(&mut *tx.statement("UPDATE users")).await?;
    Ok(())
}

pub(crate) async fn set_password(
    tx: &mut Tx,
    user: UserId,
    password_hash: &str,
    length: PasswordLength,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(SET_PASSWORD)
        .bind(user.0)
        .bind(password_hash)
        .bind(length == PasswordLength::Short)
        .bind(now)
        .execute(&mut *tx.statement("UPDATE users"))
        .await?;
    Ok(())
}

pub(crate) async fn verify_email(
    tx: &mut Tx,
    user: UserId,
    now: OffsetDateTime,
) -> Result<Option<i64>, Error> {
    changed(tx, VERIFY_EMAIL, user, now).await
}

pub(crate) async fn enable_totp(
    tx: &mut Tx,
    user: UserId,
    now: OffsetDateTime,
) -> Result<Option<i64>, Error> {
    changed(tx, ENABLE_TOTP, user, now).await
}

pub(crate) async fn disable_totp(
    tx: &mut Tx,
    user: UserId,
    now: OffsetDateTime,
) -> Result<Option<i64>, Error> {
    changed(tx, DISABLE_TOTP, user, now).await
}

/// The user's version after the change, if there was one.
async fn changed(
    tx: &mut Tx,
    statement: &'static str,
    user: UserId,
    now: OffsetDateTime,
) -> Result<Option<i64>, Error> {
    let version = sqlx::query_scalar(statement)
        .bind(user.0)
        .bind(now)
        .fetch_optional(&mut *tx.statement("UPDATE users"))
        .await?;
    Ok(version)
}
