//! A transaction opened for somebody.

use std::pin::Pin;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres, Row as _};
use uuid::Uuid;

use crate::caller::Caller;
use crate::context;
use crate::error::DatabaseError;
use crate::permits::Class;
use crate::query_times::Queries;
use crate::statement::Statement;

/// A boxed future that may move between threads.
pub type BoxFuture<'t, T> = Pin<Box<dyn Future<Output = T> + Send + 't>>;

/// What a committed transaction gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// What the work answered.
    pub value: T,
    /// What it made stale, one receipt per event.
    pub receipts: Vec<Receipt>,
}

/// What one committed event made stale: whoever holds a receipt may purge those tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id, which is also the id of its purge.
    pub event_id: Uuid,
    /// The stale tags.
    pub tags: Vec<String>,
    /// A position of the write-ahead log at or after the commit, in bytes.
    pub commit_lsn: u64,
}

/// An open transaction with the caller's identity set. Made by [`Database::run`](crate::Database::run) only.
#[derive(Debug)]
pub struct Tx {
    connection: PoolConnection<Postgres>,
    caller: Caller,
    queries: Arc<Queries>,
    stale: Vec<(Uuid, Vec<String>)>,
}

impl Tx {
    pub(crate) fn new(connection: PoolConnection<Postgres>, caller: Caller, queries: Arc<Queries>) -> Self {
        Self { connection, caller, queries, stale: Vec::new() }
    }

    /// Whom the transaction was opened for.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The connection for one statement. `name` is the low-cardinality summary that metrics and
    /// traces show, such as `SELECT products`.
    pub fn statement(&mut self, name: &'static str) -> Statement<'_> {
        Statement::new(&mut self.connection, self.queries.of(name), name)
    }

    /// Notes that event `event_id`, written by this transaction, makes `tags` stale.
    pub fn stale(&mut self, event_id: Uuid, tags: Vec<String>) {
        self.stale.push((event_id, tags));
    }

    /// What was noted so far: events of this transaction and the tags that each makes stale.
    pub fn made_stale(&self) -> &[(Uuid, Vec<String>)] {
        &self.stale
    }

    pub(crate) async fn begin(
        &mut self,
        class: Class,
        statement_timeout_ms: u64,
    ) -> Result<(), DatabaseError> {
        let begin = context::begin(&self.caller, class, statement_timeout_ms);
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *self.connection).await?;
        Ok(())
    }

    /// Commits in one round trip; with receipts the position of the log comes back in the same one.
    ///
    /// The savepoint is there to fail. COMMIT of a transaction in which a statement failed is answered
    /// with a silent ROLLBACK, which the driver does not tell apart; COMMIT without a transaction, because
    /// the work ended it by a BEGIN and COMMIT of its own, is answered with a mere warning. Reads have
    /// nothing to lose by either.
    pub(crate) async fn commit(&mut self, class: Class) -> Result<Vec<Receipt>, DatabaseError> {
        if self.stale.is_empty() {
            let commit = match class {
                Class::Read => sqlx::raw_sql("COMMIT"),
                Class::Write | Class::Worker | Class::Admin => sqlx::raw_sql("SAVEPOINT committing; COMMIT"),
            };
            let committed = commit.execute(&mut *self.connection).await;
            committed.map_err(DatabaseError::of_commit)?;
            return Ok(Vec::new());
        }
        let rows = sqlx::raw_sql(
            "SAVEPOINT committing; COMMIT; SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint",
        )
        .fetch_all(&mut *self.connection)
        .await
        .map_err(DatabaseError::of_commit)?;
        let lsn: i64 = rows
            .last()
            .ok_or(sqlx::Error::RowNotFound)
            .and_then(|row| row.try_get(0))
            .map_err(|error| DatabaseError::CommitUnknown(Some(error)))?;
        let commit_lsn = lsn.unsigned_abs();
        let stale = std::mem::take(&mut self.stale);
        Ok(stale.into_iter().map(|(event_id, tags)| Receipt { event_id, tags, commit_lsn }).collect())
    }

    /// Ends the transaction without effect.
    pub(crate) async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("ROLLBACK").execute(&mut *self.connection).await.map(drop)
    }

    /// Closes the connection at once instead of giving it back to the pool: the server ends what it runs.
    pub(crate) fn cut(self) {
        drop(self.connection.detach());
    }
}
