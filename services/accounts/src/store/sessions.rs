//! Sessions: begun by a login, kept alive by refreshing, ended once.

use rls::{Tx, UserId};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;

rls::statements! {
    BEGIN = "INSERT INTO sessions (id, user_id, user_agent, address, created_at, last_used_at, auth_at, expires_at)
             VALUES ($1::uuid, $2::bigint, $3::text, $4::text, $5::timestamptz, $5, $5, $6::timestamptz)";
    /// Those that a refresh could still keep alive.
    LIVE = "SELECT id, user_agent, address, created_at, last_used_at, expires_at FROM sessions
             WHERE user_id = $1::bigint AND revoked_at IS NULL AND expires_at > $2::timestamptz
               AND last_used_at > $2 - interval '7 days'
             ORDER BY last_used_at DESC, id DESC LIMIT 100";
    /// All but the ninety-nine used last: one more is about to begin.
    SUPERFLUOUS = "SELECT id FROM sessions WHERE user_id = $1::bigint AND revoked_at IS NULL
                    ORDER BY last_used_at DESC, id DESC OFFSET 99";
    END = "UPDATE sessions SET revoked_at = $3::timestamptz, revoked_for = $4::text
            WHERE user_id = $1::bigint AND id = $2::uuid AND revoked_at IS NULL
           RETURNING id";
    END_ALL = "UPDATE sessions SET revoked_at = $3::timestamptz, revoked_for = $4::text
                WHERE user_id = $1::bigint AND revoked_at IS NULL AND id IS DISTINCT FROM $2::uuid
               RETURNING id";
    SESSION_USED = "UPDATE sessions SET last_used_at = $2::timestamptz, address = $3::text, user_agent = $4::text
             WHERE id = $1::uuid";
    /// Somebody has proved again to be the user.
    PROVED = "UPDATE sessions SET auth_at = $3::timestamptz
               WHERE user_id = $1::bigint AND id = $2::uuid AND revoked_at IS NULL AND expires_at > $3";
    EXISTS = "SELECT EXISTS (SELECT FROM sessions WHERE user_id = $1::bigint AND id = $2::uuid)";
    CHECK = "SELECT u.role, u.totp_enabled, u.locked_at IS NOT NULL OR u.deleted_at IS NOT NULL AS barred,
                    s.revoked_at IS NULL AND s.expires_at > $3::timestamptz AS live
               FROM users u
               LEFT JOIN sessions s ON s.user_id = u.id AND s.id = $2::uuid
              WHERE u.id = $1::bigint";
    ACTIVE_USERS = "SELECT user_id FROM sessions
                     WHERE revoked_at IS NULL AND expires_at > $1::timestamptz AND last_used_at > $1 - interval '7 days'
                     GROUP BY user_id ORDER BY max(last_used_at) DESC, user_id LIMIT $2::bigint";
}

/// A session as its user sees it.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct SessionRow {
    pub(crate) id: Uuid,
    pub(crate) user_agent: String,
    pub(crate) address: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) last_used_at: OffsetDateTime,
    pub(crate) expires_at: OffsetDateTime,
}

/// A session about to begin.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    pub(crate) id: Uuid,
    pub(crate) user: UserId,
    pub(crate) user_agent: String,
    pub(crate) address: String,
    pub(crate) expires_at: OffsetDateTime,
}

/// What is known about a session that somebody asks about.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Checked {
    pub(crate) role: String,
    pub(crate) totp_enabled: bool,
    /// Locked or erased.
    pub(crate) barred: bool,
    /// Nothing is known about such a session of this user when there is no value.
    pub(crate) live: Option<bool>,
}

pub(crate) async fn begin(tx: &mut Tx, new: &NewSession, now: OffsetDateTime) -> Result<(), Error> {
    sqlx::query(BEGIN)
        .bind(new.id)
        .bind(new.user.0)
        .bind(&new.user_agent)
        .bind(&new.address)
        .bind(now)
        .bind(new.expires_at)
        .execute(&mut *tx.statement("INSERT sessions"))
        .await?;
    Ok(())
}

pub(crate) async fn live(tx: &mut Tx, user: UserId, now: OffsetDateTime) -> Result<Vec<SessionRow>, Error> {
    let rows =
        sqlx::query_as(LIVE).bind(user.0).bind(now).fetch_all(&mut *tx.statement("SELECT sessions")).await?;
    Ok(rows)
}

pub(crate) async fn superfluous(tx: &mut Tx, user: UserId) -> Result<Vec<Uuid>, Error> {
    let ids =
        sqlx::query_scalar(SUPERFLUOUS).bind(user.0).fetch_all(&mut *tx.statement("SELECT sessions")).await?;
    Ok(ids)
}

pub(crate) async fn end(
    tx: &mut Tx,
    user: UserId,
    session: Uuid,
    because: &str,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, Error> {
    let ended = sqlx::query_scalar(END)
        .bind(user.0)
        .bind(session)
        .bind(now)
        .bind(because)
        .fetch_all(&mut *tx.statement("UPDATE sessions"))
        .await?;
    Ok(ended)
}

pub(crate) async fn end_all(
    tx: &mut Tx,
    user: UserId,
    but: Option<Uuid>,
    because: &str,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, Error> {
    let ended = sqlx::query_scalar(END_ALL)
        .bind(user.0)
        .bind(but)
        .bind(now)
        .bind(because)
        .fetch_all(&mut *tx.statement("UPDATE sessions"))
        .await?;
    Ok(ended)
}

pub(crate) async fn used(
    tx: &mut Tx,
    session: Uuid,
    address: &str,
    user_agent: &str,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(SESSION_USED)
        .bind(session)
        .bind(now)
        .bind(address)
        .bind(user_agent)
        .execute(&mut *tx.statement("UPDATE sessions"))
        .await?;
    Ok(())
}

/// Whether there was such a session to note it for.
pub(crate) async fn proved(
    tx: &mut Tx,
    user: UserId,
    session: Uuid,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let noted = sqlx::query(PROVED)
        .bind(user.0)
        .bind(session)
        .bind(now)
        .execute(&mut *tx.statement("UPDATE sessions"))
        .await?;
    Ok(noted.rows_affected() == 1)
}

pub(crate) async fn exists(tx: &mut Tx, user: UserId, session: Uuid) -> Result<bool, Error> {
    let exists = sqlx::query_scalar(EXISTS)
        .bind(user.0)
        .bind(session)
        .fetch_one(&mut *tx.statement("SELECT sessions"))
        .await?;
    Ok(exists)
}

pub(crate) async fn check(
    tx: &mut Tx,
    user: UserId,
    session: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Checked>, Error> {
    let checked = sqlx::query_as(CHECK)
        .bind(user.0)
        .bind(session)
        .bind(now)
        .fetch_optional(&mut *tx.statement("SELECT sessions"))
        .await?;
    Ok(checked)
}

pub(crate) async fn active_users(tx: &mut Tx, limit: u32, now: OffsetDateTime) -> Result<Vec<i64>, Error> {
    let ids = sqlx::query_scalar(ACTIVE_USERS)
        .bind(now)
        .bind(i64::from(limit))
        .fetch_all(&mut *tx.statement("SELECT sessions"))
        .await?;
    Ok(ids)
}
