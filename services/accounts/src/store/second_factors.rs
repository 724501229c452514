//! Secrets of second factors, sealed.

use rls::{Tx, UserId};
use sqlx::FromRow;
use time::OffsetDateTime;

use crate::error::Error;

rls::statements! {
    /// Held until the end, so that a code cannot be used by two at once.
    LOCK = "SELECT secret, pending, last_step FROM second_factors WHERE user_id = $1::bigint FOR UPDATE";
    PROPOSE = "INSERT INTO second_factors (user_id, pending, changed_at)
               VALUES ($1::bigint, $2::bytea, $3::timestamptz)
               ON CONFLICT (user_id) DO UPDATE SET pending = excluded.pending, changed_at = excluded.changed_at";
    CONFIRM = "UPDATE second_factors SET secret = pending, pending = NULL, last_step = $2::bigint, changed_at = $3::timestamptz
                WHERE user_id = $1::bigint AND pending IS NOT NULL";
    USE_STEP = "UPDATE second_factors SET last_step = $2::bigint WHERE user_id = $1::bigint AND last_step < $2";
    REMOVE = "DELETE FROM second_factors WHERE user_id = $1::bigint";
}

/// One row.
#[derive(FromRow)]
pub(crate) struct SecondFactorRow {
    pub(crate) secret: Option<Vec<u8>>,
    pub(crate) pending: Option<Vec<u8>>,
    pub(crate) last_step: i64,
}

pub(crate) async fn lock(tx: &mut Tx, user: UserId) -> Result<Option<SecondFactorRow>, Error> {
    let row =
        sqlx::query_as(LOCK).bind(user.0).fetch_optional(&mut *tx.statement("SELECT second_factors")).await?;
    Ok(row)
}

pub(crate) async fn propose(
    tx: &mut Tx,
    user: UserId,
    sealed: &[u8],
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(PROPOSE)
        .bind(user.0)
        .bind(sealed)
        .bind(now)
        .execute(&mut *tx.statement("INSERT second_factors"))
        .await?;
    Ok(())
}

pub(crate) async fn confirm(tx: &mut Tx, user: UserId, step: i64, now: OffsetDateTime) -> Result<(), Error> {
    sqlx::query(CONFIRM)
        .bind(user.0)
        .bind(step)
        .bind(now)
        .execute(&mut *tx.statement("UPDATE second_factors"))
        .await?;
    Ok(())
}

/// Whether the step was still to be used.
pub(crate) async fn use_step(tx: &mut Tx, user: UserId, step: i64) -> Result<bool, Error> {
    let used = sqlx::query(USE_STEP)
        .bind(user.0)
        .bind(step)
        .execute(&mut *tx.statement("UPDATE second_factors"))
        .await?;
    Ok(used.rows_affected() == 1)
}

pub(crate) async fn remove(tx: &mut Tx, user: UserId) -> Result<(), Error> {
    sqlx::query(REMOVE).bind(user.0).execute(&mut *tx.statement("DELETE second_factors")).await?;
    Ok(())
}
