//! The service's one table, and its lock.

use std::time::Duration;

use rls::{Caller, Class, Database, DatabaseError, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::domain::{Coherence, Continuity, LogState};

/// Bounds each transaction here.
const DEADLINE: Duration = Duration::from_secs(1);

/// The key of the lock that makes a replica the active one; locks are per database, hence per service.
const LOCK: i64 = 0x6d63_696e_7661_6c69;

/// A row that no version of this service wrote, or a failed statement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the coherence row cannot be reached")]
    Database(#[from] DatabaseError),
    #[error("epoch {0} of the coherence row is out of range")]
    Epoch(i32),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::Database(error.into())
    }
}

/// What is remembered, `None` before the first start.
pub(crate) async fn coherence(db: &Database) -> Result<Option<Coherence>, StoreError> {
    let known = db.run(&Caller::Service, Class::Read, DEADLINE, |tx| {
        Box::pin(async move {
            let row = sqlx::query("SELECT epoch, high_seq, high_time, stream_created FROM coherence")
                .fetch_optional(&mut *tx.statement("SELECT coherence"))
                .await?;
            row.as_ref().map(parsed).transpose()
        })
    });
    Ok(known.await?.value)
}

/// Remembers what the server said of the log, under the row's lock, and answers the epoch that follows
/// from it. `at_least` is a sequence known to have existed before the server was asked.
pub(crate) async fn advance(
    db: &Database,
    seen: LogState,
    at_least: u64,
    continuity: Continuity,
) -> Result<Coherence, StoreError> {
    let advanced = db.run(&Caller::Service, Class::Write, DEADLINE, move |tx| {
        Box::pin(async move {
            let known = coherence_for_update(tx).await?.map(|mut known| {
                if known.log.created == seen.created {
                    known.log.last_seq = known.log.last_seq.max(at_least);
                }
                known
            });
            let next = Coherence::after(known, seen, continuity);
            save(tx, next).await?;
            Ok::<_, StoreError>(next)
        })
    });
    Ok(advanced.await?.value)
}

/// Begins a new epoch of the same log.
pub(crate) async fn renew(db: &Database) -> Result<Option<Coherence>, StoreError> {
    let renewed = db.run(&Caller::Service, Class::Write, DEADLINE, |tx| {
        Box::pin(async move {
            let Some(known) = coherence_for_update(tx).await? else { return Ok(None) };
            let next = known.renewed();
            save(tx, next).await?;
            Ok::<_, StoreError>(Some(next))
        })
    });
    Ok(renewed.await?.value)
}

async fn coherence_for_update(tx: &mut Tx) -> Result<Option<Coherence>, StoreError> {
    let row = sqlx::query("SELECT epoch, high_seq, high_time, stream_created FROM coherence FOR UPDATE")
        .fetch_optional(&mut *tx.statement("SELECT coherence FOR UPDATE"))
        .await?;
    row.as_ref().map(parsed).transpose()
}

fn parsed(row: &PgRow) -> Result<Coherence, StoreError> {
    let epoch: i32 = row.try_get("epoch")?;
    let high_seq: i64 = row.try_get("high_seq")?;
    Ok(Coherence {
        epoch: u16::try_from(epoch).map_err(|_out_of_range| StoreError::Epoch(epoch))?,
        log: LogState {
            created: row.try_get("stream_created")?,
            last_seq: high_seq.unsigned_abs(),
            last_time: row.try_get("high_time")?,
        },
    })
}

/// On the very first start two replicas may insert: the second one waits here and then writes the same.
async fn save(tx: &mut Tx, coherence: Coherence) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO coherence (epoch, high_seq, high_time, stream_created) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE
            SET epoch = excluded.epoch, high_seq = excluded.high_seq, high_time = excluded.high_time,
                stream_created = excluded.stream_created, updated_at = now()",
    )
    .bind(i32::from(coherence.epoch))
    .bind(i64::try_from(coherence.log.last_seq).unwrap_or(i64::MAX))
    .bind(coherence.log.last_time)
    .bind(coherence.log.created)
    .execute(&mut *tx.statement("UPSERT coherence"))
    .await?;
    Ok(())
}

/// Takes the lock for this session if it is free.
pub(crate) async fn try_lock(session: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(session).await
}
