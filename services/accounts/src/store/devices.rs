//! Devices on which users have signed in.

use rls::{Tx, UserId};
use time::OffsetDateTime;

use crate::error::Error;
use crate::secrets::Sha256Hash;

rls::statements! {
    REMEMBER = "INSERT INTO devices (user_id, device_sha256, created_at, last_seen_at)
                VALUES ($1::bigint, $2::bytea, $3::timestamptz, $3)
                ON CONFLICT (user_id, device_sha256) DO UPDATE SET last_seen_at = excluded.last_seen_at";
    /// A user has twenty devices at most; the ones not seen for longest go.
    FORGET_OLDEST = "DELETE FROM devices
                      WHERE user_id = $1::bigint
                        AND device_sha256 IN (SELECT device_sha256 FROM devices WHERE user_id = $1
                                               ORDER BY last_seen_at DESC, device_sha256 OFFSET 20)";
    FORGET_ALL = "DELETE FROM devices WHERE user_id = $1::bigint";
}

pub(crate) async fn remember(
    tx: &mut Tx,
    user: UserId,
    device: &Sha256Hash,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(REMEMBER)
        .bind(user.0)
        .bind(&device[..])
        .bind(now)
        .execute(&mut *tx.statement("INSERT devices"))
        .await?;
    sqlx::query(FORGET_OLDEST).bind(user.0).execute(&mut *tx.statement("DELETE devices")).await?;
    Ok(())
}

pub(crate) async fn forget_all(tx: &mut Tx, user: UserId) -> Result<(), Error> {
    sqlx::query(FORGET_ALL).bind(user.0).execute(&mut *tx.statement("DELETE devices")).await?;
    Ok(())
}
