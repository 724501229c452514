//! Forgetting what nobody will ask for again.

use std::time::Duration;

use rls::{Caller, Class};

use super::{DATABASE_DEADLINE, Relay, RelayError};

/// Between two rounds when nothing is left to delete, and when something is.
const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_BUSY: Duration = Duration::from_millis(200);
/// Rows per statement: short locks, short statements.
const BATCH: i64 = 1_000;

impl Relay {
    /// Deletes one batch of published rows older than seven days, and of inbox rows older than
    /// thirty: longer than stream and outbox together can bring a message back. Answers when to come again.
    pub(super) async fn housekeep(&self) -> Duration {
        match self.delete_old().await {
            Ok(deleted) if deleted >= BATCH.unsigned_abs() => PAUSE_BUSY,
            Ok(_) => PAUSE,
            Err(error) => {
                tracing::warn!(service = self.config.service, %error, "old outbox rows not deleted");
                PAUSE
            }
        }
    }

    async fn delete_old(&self) -> Result<u64, RelayError> {
        let deleted = self.db.run(&Caller::Service, Class::Worker, DATABASE_DEADLINE, |tx| {
            Box::pin(async move {
                let outbox = sqlx::query(
                    "DELETE FROM outbox WHERE id IN (
                            SELECT id FROM outbox WHERE published_at < now() - interval '7 days' LIMIT $1)",
                )
                .bind(BATCH)
                .execute(&mut *tx.statement("DELETE outbox"))
                .await?;
                let inbox = sqlx::query(
                    "DELETE FROM inbox WHERE (consumer, message_id) IN (
                            SELECT consumer, message_id FROM inbox
                             WHERE received_at < now() - interval '30 days' LIMIT $1)",
                )
                .bind(BATCH)
                .execute(&mut *tx.statement("DELETE inbox"))
                .await?;
                Ok::<_, RelayError>(outbox.rows_affected().max(inbox.rows_affected()))
            })
        });
        Ok(deleted.await?.value)
    }
}
