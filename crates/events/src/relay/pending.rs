//! The outbox rows that the stream has not acknowledged yet.

use rls::{Caller, Class};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{DATABASE_DEADLINE, Relay, RelayError};

/// The oldest rows of each shard taken in one round, and of all shards together.
const ROWS_PER_SHARD_MAX: i64 = 256;
pub(super) const ROWS_MAX: usize = 1_024;

/// One pending event.
#[derive(Debug)]
pub(super) struct PendingRow {
    pub(super) id: Uuid,
    pub(super) subject: String,
    pub(super) aggregate: (String, String),
    pub(super) aggregate_version: i64,
    pub(super) payload: Vec<u8>,
    pub(super) tags: Vec<String>,
    pub(super) traceparent: Option<String>,
    /// Read after the row was seen committed, hence at or after its commit.
    pub(super) commit_lsn: i64,
}

impl PendingRow {
    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            subject: row.try_get("subject")?,
            aggregate: (row.try_get("aggregate")?, row.try_get("aggregate_id")?),
            aggregate_version: row.try_get("aggregate_version")?,
            payload: row.try_get("payload")?,
            tags: row.try_get("tags")?,
            traceparent: row.try_get("traceparent")?,
            commit_lsn: row.try_get("commit_lsn")?,
        })
    }
}

impl Relay {
    /// The oldest pending rows of `shards`, oldest first. By their state, never by a cursor: sequence
    /// numbers do not become visible in order, and a cursor would step over a late one.
    pub(super) async fn pending(&self, shards: &[i16]) -> Result<Vec<PendingRow>, RelayError> {
        let shards = shards.to_vec();
        let pending = self.db.run(&Caller::Service, Class::Worker, DATABASE_DEADLINE, move |tx| {
            Box::pin(async move {
                let rows = sqlx::query(
                    "SELECT o.id, o.subject, o.aggregate, o.aggregate_id, o.aggregate_version, o.payload, o.tags,
                            o.traceparent, (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS commit_lsn
                       FROM unnest($1::smallint[]) AS led (shard)
                      CROSS JOIN LATERAL (
                            SELECT * FROM outbox
                             WHERE outbox.shard = led.shard AND published_at IS NULL
                             ORDER BY seq LIMIT $2) AS o
                      ORDER BY o.seq LIMIT $3",
                )
                .bind(&shards)
                .bind(ROWS_PER_SHARD_MAX)
                .bind(i64::try_from(ROWS_MAX).expect("a small number"))
                .fetch_all(&mut *tx.statement("SELECT outbox pending"))
                .await?;
                rows.iter().map(PendingRow::of).collect::<Result<Vec<_>, sqlx::Error>>().map_err(RelayError::from)
            })
        });
        Ok(pending.await?.value)
    }

    /// Marks what the stream acknowledged, in one statement, and puts aside what it can never take.
    pub(super) async fn mark(
        &self,
        acknowledged: Vec<(Uuid, i64)>,
        oversize: Vec<Uuid>,
    ) -> Result<(), RelayError> {
        if acknowledged.is_empty() && oversize.is_empty() {
            return Ok(());
        }
        let marked = self.db.run(&Caller::Service, Class::Worker, DATABASE_DEADLINE, move |tx| {
            Box::pin(async move {
                let (ids, seqs): (Vec<Uuid>, Vec<i64>) = acknowledged.into_iter().unzip();
                sqlx::query(
                    "UPDATE outbox SET published_at = clock_timestamp(), stream_seq = acknowledged.seq
                       FROM unnest($1::uuid[], $2::bigint[]) AS acknowledged (id, seq)
                      WHERE outbox.id = acknowledged.id",
                )
                .bind(&ids)
                .bind(&seqs)
                .execute(&mut *tx.statement("UPDATE outbox published"))
                .await?;
                if !oversize.is_empty() {
                    // 'infinity' is the quarantine: not pending, never deleted, never repaired.
                    sqlx::query("UPDATE outbox SET published_at = 'infinity' WHERE id = ANY($1)")
                        .bind(&oversize)
                        .execute(&mut *tx.statement("UPDATE outbox quarantined"))
                        .await?;
                }
                Ok::<_, RelayError>(())
            })
        });
        marked.await?;
        Ok(())
    }
}
