//! Refresh tokens: each is exchanged once.

use rls::Tx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;
use crate::secrets::Sha256Hash;

rls::statements! {
    ISSUE_REFRESH_TOKEN = "INSERT INTO refresh_tokens (token_sha256, session_id, user_id, created_at, expires_at)
             VALUES ($1::bytea, $2::uuid, $3::bigint, $4::timestamptz, $5::timestamptz)";
    /// Uses a token up. Of many at the same moment one succeeds; the others wait for it and find nothing.
    USE_REFRESH_TOKEN = "UPDATE refresh_tokens t SET used_at = $2::timestamptz, used_by = $3::bytea
             FROM sessions s, users u
            WHERE t.token_sha256 = $1::bytea AND t.used_at IS NULL AND t.expires_at > $2
              AND s.id = t.session_id AND s.revoked_at IS NULL AND s.expires_at > $2
              AND u.id = t.user_id AND u.locked_at IS NULL AND u.deleted_at IS NULL
           RETURNING s.id AS session_id, s.user_id, s.auth_at, s.expires_at AS session_expires_at, u.role, u.totp_enabled";
    /// A token that was used before, of a session that lives, and when its successor ends.
    USED_REFRESH_TOKEN = "SELECT s.id AS session_id, s.user_id, s.auth_at, s.expires_at AS session_expires_at, u.role, u.totp_enabled,
                   t.used_at, t.used_by, next.expires_at AS successor_expires_at
              FROM refresh_tokens t
              JOIN sessions s ON s.id = t.session_id AND s.revoked_at IS NULL AND s.expires_at > $2::timestamptz
              JOIN users u ON u.id = t.user_id AND u.locked_at IS NULL AND u.deleted_at IS NULL
              LEFT JOIN refresh_tokens next ON next.token_sha256 = $3::bytea AND next.session_id = t.session_id
             WHERE t.token_sha256 = $1::bytea AND t.used_at IS NOT NULL AND t.expires_at > $2";
}

/// The session that a token keeps alive.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct KeptAlive {
    pub(crate) session_id: Uuid,
    pub(crate) user_id: i64,
    pub(crate) auth_at: OffsetDateTime,
    pub(crate) session_expires_at: OffsetDateTime,
    pub(crate) role: String,
    pub(crate) totp_enabled: bool,
}

/// A token that comes again.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Again {
    #[sqlx(flatten)]
    pub(crate) session: KeptAlive,
    pub(crate) used_at: OffsetDateTime,
    pub(crate) used_by: Vec<u8>,
    pub(crate) successor_expires_at: Option<OffsetDateTime>,
}

pub(crate) async fn issue(
    tx: &mut Tx,
    token: &Sha256Hash,
    session: Uuid,
    user: i64,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(ISSUE_REFRESH_TOKEN)
        .bind(&token[..])
        .bind(session)
        .bind(user)
        .bind(now)
        .bind(until)
        .execute(&mut *tx.statement("INSERT refresh_tokens"))
        .await?;
    Ok(())
}

pub(crate) async fn use_up(
    tx: &mut Tx,
    token: &Sha256Hash,
    by: &Sha256Hash,
    now: OffsetDateTime,
) -> Result<Option<KeptAlive>, Error> {
    let session = sqlx::query_as(USE_REFRESH_TOKEN)
        .bind(&token[..])
        .bind(now)
        .bind(&by[..])
        .fetch_optional(&mut *tx.statement("UPDATE refresh_tokens"))
        .await?;
    Ok(session)
}

pub(crate) async fn used(
    tx: &mut Tx,
    token: &Sha256Hash,
    successor: &Sha256Hash,
    now: OffsetDateTime,
) -> Result<Option<Again>, Error> {
    let again = sqlx::query_as(USED_REFRESH_TOKEN)
        .bind(&token[..])
        .bind(now)
        .bind(&successor[..])
        .fetch_optional(&mut *tx.statement("SELECT refresh_tokens"))
        .await?;
    Ok(again)
}
