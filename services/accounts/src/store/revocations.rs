//! What access tokens no longer prove, in the order of commits.

use rls::{Tx, UserId, UserRole};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::user::role_word;
use crate::error::Error;

rls::statements! {
    /// The numbers come from a trigger.
    END_SESSIONS = "INSERT INTO revocations (user_id, session_id, until)
                    SELECT $1::bigint, ended, $3::timestamptz FROM unnest($2::uuid[]) AS ended
                    RETURNING seq, session_id";
    LIMIT_ROLE = "INSERT INTO revocations (user_id, role, until)
                  VALUES ($1::bigint, $2::text, $3::timestamptz)
                  RETURNING seq";
    AFTER = "SELECT seq, user_id, session_id, role, until FROM revocations
              WHERE seq > $1::bigint AND until > $2::timestamptz
              ORDER BY seq LIMIT 10000";
}

/// One row.
#[derive(Debug, FromRow)]
pub(crate) struct RevocationRow {
    pub(crate) seq: i64,
    pub(crate) user_id: i64,
    pub(crate) session_id: Option<Uuid>,
    pub(crate) role: Option<String>,
    pub(crate) until: OffsetDateTime,
}

pub(crate) async fn end_sessions(
    tx: &mut Tx,
    user: UserId,
    ended: &[Uuid],
    until: OffsetDateTime,
) -> Result<Vec<(i64, Uuid)>, Error> {
    let rows = sqlx::query_as(END_SESSIONS)
        .bind(user.0)
        .bind(ended)
        .bind(until)
        .fetch_all(&mut *tx.statement("INSERT revocations"))
        .await?;
    Ok(rows)
}

pub(crate) async fn limit_role(
    tx: &mut Tx,
    user: UserId,
    role: UserRole,
    until: OffsetDateTime,
) -> Result<i64, Error> {
    let seq = sqlx::query_scalar(LIMIT_ROLE)
        .bind(user.0)
        .bind(role_word(role))
        .bind(until)
        .fetch_one(&mut *tx.statement("INSERT revocations"))
        .await?;
    Ok(seq)
}

pub(crate) async fn after(tx: &mut Tx, seq: i64, now: OffsetDateTime) -> Result<Vec<RevocationRow>, Error> {
    let rows =
        sqlx::query_as(AFTER).bind(seq).bind(now).fetch_all(&mut *tx.statement("SELECT revocations")).await?;
    Ok(rows)
}
