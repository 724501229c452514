//! Handling a message once, although it may be delivered twice.

use rls::Tx;

/// Whether `consumer` sees this message for the first time. Call it first in the transaction that
/// holds the message's effect: both are committed, or neither.
///
/// # Errors
/// When the inbox cannot be written.
pub async fn first_time(tx: &mut Tx, consumer: &str, message_id: &str) -> Result<bool, sqlx::Error> {
    let inserted =
        sqlx::query("INSERT INTO inbox (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(consumer)
            .bind(message_id)
            .execute(&mut *tx.statement("INSERT inbox"))
            .await?;
    failpoints::hit("cs.after_inbox").await.map_err(|injected| sqlx::Error::Io(injected.into()))?;
    Ok(inserted.rows_affected() == 1)
}
