//! Attempts, counted.

use rls::Tx;
use time::OffsetDateTime;

use crate::attempts::Allowance;
use crate::error::Error;

rls::statements! {
    /// One more attempt, unless it comes before its time. Whoever comes at the same moment waits for the row
    /// and then sees this one counted.
    RESERVE = "INSERT INTO throttles AS t (key, attempts, next_at, expires_at)
               VALUES ($1::bytea, 1, $2::timestamptz, $2 + make_interval(secs => $6::float8))
               ON CONFLICT (key) DO UPDATE
                  SET attempts   = CASE WHEN t.expires_at <= $2 THEN 1 ELSE least(t.attempts, 1000000) + 1 END,
                      next_at    = CASE WHEN t.expires_at <= $2 OR t.attempts + 1 < $3::int THEN $2
                                        ELSE $2 + make_interval(secs =>
                                             least($5::float8, $4::float8 * power(2, least(t.attempts + 1 - $3, 30)))) END,
                      expires_at = $2 + make_interval(secs => $6)
                WHERE t.next_at <= $2";
    NEXT_AT = "SELECT next_at FROM throttles WHERE key = $1::bytea";
    FORGET = "DELETE FROM throttles WHERE key = $1::bytea";
    REFUND = "UPDATE throttles SET attempts = greatest(attempts - 1, 0) WHERE key = $1::bytea";
}

pub(crate) async fn reserve(
    tx: &mut Tx,
    key: &[u8; 32],
    allowance: &Allowance,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let counted = sqlx::query(RESERVE)
        .bind(&key[..])
        .bind(now)
        .bind(allowance.at_once)
        .bind(allowance.first_delay.as_secs_f64())
        .bind(allowance.longest_delay.as_secs_f64())
        .bind(allowance.forgotten_after.as_secs_f64())
        .execute(&mut *tx.statement("INSERT throttles"))
        .await?;
    Ok(counted.rows_affected() == 1)
}

pub(crate) async fn next_at(tx: &mut Tx, key: &[u8; 32]) -> Result<Option<OffsetDateTime>, Error> {
    let next = sqlx::query_scalar(NEXT_AT)
        .bind(&key[..])
        .fetch_optional(&mut *tx.statement("SELECT throttles"))
        .await?;
    Ok(next)
}

pub(crate) async fn forget(tx: &mut Tx, key: &[u8; 32]) -> Result<(), Error> {
    sqlx::query(FORGET).bind(&key[..]).execute(&mut *tx.statement("DELETE throttles")).await?;
    Ok(())
}

pub(crate) async fn refund(tx: &mut Tx, key: &[u8; 32]) -> Result<(), Error> {
    sqlx::query(REFUND).bind(&key[..]).execute(&mut *tx.statement("UPDATE throttles")).await?;
    Ok(())
}
