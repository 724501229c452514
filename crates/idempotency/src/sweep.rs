//! Forgetting keys: when their day is over, and when their principal goes.

use std::time::Duration;

use rls::{Caller, Class, Database, DatabaseError, Tx, UserId};
use tokio_util::sync::CancellationToken;

use crate::request::scope;
use crate::store;

/// Between two rounds when nothing is left to delete, and when something is.
const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_BUSY: Duration = Duration::from_millis(200);
/// Rows per statement: short locks, short statements.
const BATCH: i64 = 1_000;
const DEADLINE: Duration = Duration::from_secs(2);

/// Deletes one batch of keys whose day is over and answers how many those were. Any replica may, also at once.
///
/// # Errors
/// When the database fails.
pub async fn sweep(db: &Database) -> Result<u64, DatabaseError> {
    let swept = db.run(&Caller::Service, Class::Worker, DEADLINE, |tx| {
        Box::pin(async move { Ok::<_, DatabaseError>(store::sweep(tx, BATCH).await?) })
    });
    Ok(swept.await?.value)
}

/// Sweeps again and again until `shutdown`.
pub async fn keep_swept(db: Database, shutdown: CancellationToken) {
    loop {
        let pause = match sweep(&db).await {
            Ok(swept) if swept >= BATCH.unsigned_abs() => PAUSE_BUSY,
            Ok(_) => PAUSE,
            Err(error) => {
                tracing::warn!(%error, "old idempotency keys not deleted");
                PAUSE
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Deletes what is kept for user `id`, whose account is erased; replies may hold an address. Answers how many keys
/// those were.
///
/// # Errors
/// When the database fails.
pub async fn forget(tx: &mut Tx, id: UserId) -> Result<u64, sqlx::Error> {
    let scope = scope(&Caller::User(id)).expect("a user has keys");
    store::forget(tx, &scope).await
}
