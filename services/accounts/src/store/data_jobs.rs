//! What people asked of their data, and the work on it: a queue in a table, with leases.

use std::time::Duration;

use rls::{Tx, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::data_job::{DataJobKind, JobFailure};

/// A job as whoever asked for it sees it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct DataJob {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) finished_at: Option<OffsetDateTime>,
    pub(crate) document: Option<String>,
    pub(crate) failure: Option<String>,
}

/// A job that this process works on until its lease ends. The number of the attempt tells it from a later
/// holder of the same job: whoever comes back late changes nothing.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) user_id: i64,
    pub(crate) attempts: i32,
}

/// What the services know about a user, each part a JSON object as text.
#[derive(Clone)]
pub(crate) struct ExportParts {
    pub(crate) accounts: String,
    pub(crate) agenda: String,
    pub(crate) notifications: String,
    pub(crate) orders: String,
}

/// Nothing of a person shows.
impl std::fmt::Debug for ExportParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportParts").finish_non_exhaustive()
    }
}

rls::statements! {
    /// A new job, unless one of its kind is under way.
    INSERT_DATA_JOB =
        "INSERT INTO data_jobs (id, user_id, kind)
         VALUES ($1, $2, $3)
         ON CONFLICT (user_id, kind) WHERE state IN ('pending', 'running') DO NOTHING
         RETURNING id, kind, state, created_at, finished_at, NULL::text AS document, failure";
    /// The job of a kind that is under way.
    DATA_JOB_UNDER_WAY =
        "SELECT id, kind, state, created_at, finished_at, NULL::text AS document, failure
           FROM data_jobs
          WHERE user_id = $1 AND kind = $2 AND state IN ('pending', 'running')";
    /// One of the user's jobs, for as long as its result is kept.
    DATA_JOB =
        "SELECT id, kind, state, created_at, finished_at, document, failure
           FROM data_jobs
          WHERE user_id = $1 AND id = $2 AND (finished_at IS NULL OR expires_at > now())";
    /// The job of kind `$2` that has been due for longest; its lease is `$1` seconds. One whose holder is gone is
    /// due again.
    CLAIM_DATA_JOB =
        "UPDATE data_jobs
            SET state = 'running', attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $1)
          WHERE id = (SELECT id
                        FROM data_jobs
                       WHERE state IN ('pending', 'running') AND next_attempt_at <= now() AND kind = $2
                       ORDER BY next_attempt_at
                       LIMIT 1
                         FOR UPDATE SKIP LOCKED)
      RETURNING id, user_id, attempts";
    /// Whether the attempt is still the job's latest; holds the row.
    HOLD_DATA_JOB =
        "SELECT user_id FROM data_jobs WHERE id = $1 AND attempts = $2 AND state = 'running' FOR UPDATE";
    FINISH_ERASURE =
        "UPDATE data_jobs
            SET state = 'done', finished_at = now(), expires_at = now() + interval '7 days'
          WHERE id = $1 AND attempts = $2 AND state = 'running'";
    /// The parts are put together here, so that what is no JSON never becomes a document.
    FINISH_EXPORT =
        "UPDATE data_jobs
            SET state = 'done', finished_at = now(), expires_at = now() + interval '7 days',
                document = json_build_object('accounts', $3::json, 'agenda', $4::json, 'notifications', $5::json,
                                             'orders', $6::json)::text
          WHERE id = $1 AND attempts = $2 AND state = 'running'";
    FAIL_DATA_JOB =
        "UPDATE data_jobs
            SET state = 'failed', finished_at = now(), failure = $3, expires_at = now() + interval '7 days'
          WHERE id = $1 AND attempts = $2 AND state = 'running'";
    /// Due again in `$3` seconds.
    RETRY_DATA_JOB =
        "UPDATE data_jobs
            SET state = 'pending', next_attempt_at = now() + make_interval(secs => $3)
          WHERE id = $1 AND attempts = $2 AND state = 'running'";
    /// Earlier documents of the user: only the latest is kept.
    DELETE_OTHER_EXPORTS =
        "DELETE FROM data_jobs WHERE user_id = $1 AND id <> $2 AND kind = 'export' AND finished_at IS NOT NULL";
    /// Everything else that the user asked for, under way or done.
    DELETE_OTHER_DATA_JOBS = "DELETE FROM data_jobs WHERE user_id = $1 AND id <> $2";
}

/// Asks for a job, or finds the one under way.
pub(crate) async fn request(
    tx: &mut Tx,
    user: UserId,
    kind: DataJobKind,
    id: Uuid,
) -> Result<Option<DataJob>, sqlx::Error> {
    // The one under way may end between the two questions: then there is room for a new one.
    for _ in 0..2 {
        let fresh = sqlx::query_as(INSERT_DATA_JOB)
            .bind(id)
            .bind(user.0)
            .bind(kind.as_str())
            .fetch_optional(&mut *tx.statement("INSERT data_jobs"))
            .await?;
        if fresh.is_some() {
            return Ok(fresh);
        }
        let under_way = sqlx::query_as(DATA_JOB_UNDER_WAY)
            .bind(user.0)
            .bind(kind.as_str())
            .fetch_optional(&mut *tx.statement("SELECT data_jobs under way"))
            .await?;
        if under_way.is_some() {
            return Ok(under_way);
        }
    }
    Ok(None)
}

/// One of the user's jobs.
pub(crate) async fn job(tx: &mut Tx, user: UserId, id: Uuid) -> Result<Option<DataJob>, sqlx::Error> {
    sqlx::query_as(DATA_JOB)
        .bind(user.0)
        .bind(id)
        .fetch_optional(&mut *tx.statement("SELECT data_jobs"))
        .await
}

/// Takes the job of this kind that has been due for longest, for `lease`.
pub(crate) async fn claim(
    tx: &mut Tx,
    kind: DataJobKind,
    lease: Duration,
) -> Result<Option<Claimed>, sqlx::Error> {
    sqlx::query_as(CLAIM_DATA_JOB)
        .bind(lease.as_secs_f64())
        .bind(kind.as_str())
        .fetch_optional(&mut *tx.statement("UPDATE data_jobs claim"))
        .await
}

/// Says whether the job is still this attempt's, and keeps it so until the transaction ends.
pub(crate) async fn hold(tx: &mut Tx, job: &Claimed) -> Result<bool, sqlx::Error> {
    let user: Option<i64> = sqlx::query_scalar(HOLD_DATA_JOB)
        .bind(job.id)
        .bind(job.attempts)
        .fetch_optional(&mut *tx.statement("SELECT data_jobs for update"))
        .await?;
    Ok(user.is_some())
}

/// The erasure is done.
pub(crate) async fn finish_erasure(tx: &mut Tx, job: &Claimed) -> Result<(), sqlx::Error> {
    sqlx::query(FINISH_ERASURE)
        .bind(job.id)
        .bind(job.attempts)
        .execute(&mut *tx.statement("UPDATE data_jobs done"))
        .await
        .map(drop)
}

/// The export is done; this is what each service knew.
pub(crate) async fn finish_export(
    tx: &mut Tx,
    job: &Claimed,
    parts: &ExportParts,
) -> Result<(), sqlx::Error> {
    sqlx::query(FINISH_EXPORT)
        .bind(job.id)
        .bind(job.attempts)
        .bind(&parts.accounts)
        .bind(&parts.agenda)
        .bind(&parts.notifications)
        .bind(&parts.orders)
        .execute(&mut *tx.statement("UPDATE data_jobs done"))
        .await
        .map(drop)
}

/// The job will not be tried again.
pub(crate) async fn fail(tx: &mut Tx, job: &Claimed, failure: JobFailure) -> Result<(), sqlx::Error> {
    sqlx::query(FAIL_DATA_JOB)
        .bind(job.id)
        .bind(job.attempts)
        .bind(failure.as_str())
        .execute(&mut *tx.statement("UPDATE data_jobs failed"))
        .await
        .map(drop)
}

/// The job will be tried again after `pause`.
pub(crate) async fn retry(tx: &mut Tx, job: &Claimed, pause: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(RETRY_DATA_JOB)
        .bind(job.id)
        .bind(job.attempts)
        .bind(pause.as_secs_f64())
        .execute(&mut *tx.statement("UPDATE data_jobs retry"))
        .await
        .map(drop)
}

/// Removes every finished export of the user but this one.
pub(crate) async fn delete_other_exports(tx: &mut Tx, job: &Claimed) -> Result<(), sqlx::Error> {
    sqlx::query(DELETE_OTHER_EXPORTS)
        .bind(job.user_id)
        .bind(job.id)
        .execute(&mut *tx.statement("DELETE data_jobs of user"))
        .await
        .map(drop)
}

/// Removes every other job of the user.
pub(crate) async fn delete_others(tx: &mut Tx, job: &Claimed) -> Result<(), sqlx::Error> {
    sqlx::query(DELETE_OTHER_DATA_JOBS)
        .bind(job.user_id)
        .bind(job.id)
        .execute(&mut *tx.statement("DELETE data_jobs of user"))
        .await
        .map(drop)
}
