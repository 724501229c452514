//! The queue of mails. Only the service itself sees it.

use rls::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

rls::statements! {
    /// Queues a mail, or finds the one of the same key.
    ENQUEUE = "INSERT INTO emails (id, dedupe_key, user_id, template, locale, sealed, message_id)
               VALUES ($1::uuid, $2::text, $3::bigint, $4::text, $5::text, $6::bytea, $7::text)
                   ON CONFLICT (dedupe_key) DO UPDATE SET dedupe_key = excluded.dedupe_key
            RETURNING id";
    /// Takes mails that are due, each for one worker: until the lease ends no other takes them.
    CLAIM_EMAILS = "UPDATE emails
                SET status = 'sending', attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $2::float8)
              WHERE id IN (SELECT id FROM emails
                            WHERE status IN ('queued', 'sending', 'failed') AND next_attempt_at <= now()
                            ORDER BY next_attempt_at
                            LIMIT $1::bigint
                              FOR UPDATE SKIP LOCKED)
          RETURNING id, user_id, template, locale, sealed, message_id, attempts";
    /// The mail is out; what was in it goes.
    SENT = "UPDATE emails SET status = 'sent', sealed = NULL, last_error = NULL, finished_at = now()
             WHERE id = $1::uuid AND status = 'sending' AND attempts = $2::integer";
    /// Another attempt, later.
    FAILED = "UPDATE emails
                 SET status = 'failed', last_error = $3::text, next_attempt_at = now() + make_interval(secs => $4::float8)
               WHERE id = $1::uuid AND status = 'sending' AND attempts = $2::integer";
    /// No further attempt; what was in it goes.
    DEAD = "UPDATE emails SET status = 'dead', sealed = NULL, last_error = $3::text, finished_at = now()
             WHERE id = $1::uuid AND status = 'sending' AND attempts = $2::integer";
    /// Forgets mails that were finished long ago.
    FORGET_EMAILS = "DELETE FROM emails
               WHERE id IN (SELECT id FROM emails
                             WHERE finished_at < now() - make_interval(days => $1::integer)
                             LIMIT $2::bigint)";
    /// What was sent to a user, as their export shows it.
    EXPORT_EMAILS = "SELECT template, status, created_at, finished_at
                       FROM emails
                      WHERE user_id = $1::bigint
                      ORDER BY created_at DESC
                      LIMIT $2::bigint";
}

/// A mail to be queued.
#[derive(Debug)]
pub(crate) struct NewEmail<'a> {
    pub(crate) id: Uuid,
    pub(crate) dedupe_key: &'a str,
    pub(crate) user_id: Option<i64>,
    pub(crate) template: &'static str,
    pub(crate) locale: &'static str,
    pub(crate) sealed: &'a [u8],
    pub(crate) message_id: &'a str,
}

/// A mail that this worker has for itself.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) user_id: Option<i64>,
    pub(crate) template: String,
    pub(crate) locale: String,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) message_id: String,
    /// This one included.
    pub(crate) attempts: i32,
}

/// What an export says about a mail.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Trace {
    pub(crate) template: String,
    pub(crate) status: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) finished_at: Option<OffsetDateTime>,
}

/// Queues the mail and answers its id, or that of the one with the same key.
pub(crate) async fn enqueue(tx: &mut Tx, email: &NewEmail<'_>) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar(ENQUEUE)
        .bind(email.id)
        .bind(email.dedupe_key)
        .bind(email.user_id)
        .bind(email.template)
        .bind(email.locale)
        .bind(email.sealed)
        .bind(email.message_id)
        .fetch_one(&mut *tx.statement("INSERT emails"))
        .await
}

/// Up to `limit` mails that are due, for `lease_s` seconds.
pub(crate) async fn claim(tx: &mut Tx, limit: i64, lease_s: f64) -> Result<Vec<Claimed>, sqlx::Error> {
    sqlx::query_as(CLAIM_EMAILS)
        .bind(limit)
        .bind(lease_s)
        .fetch_all(&mut *tx.statement("UPDATE emails claim"))
        .await
}

/// Notes that attempt `attempts` sent the mail, unless another worker has it by now.
pub(crate) async fn sent(tx: &mut Tx, id: Uuid, attempts: i32) -> Result<(), sqlx::Error> {
    sqlx::query(SENT)
        .bind(id)
        .bind(attempts)
        .execute(&mut *tx.statement("UPDATE emails sent"))
        .await
        .map(drop)
}

/// Notes that attempt `attempts` failed; another one is due in `pause_s` seconds.
pub(crate) async fn failed(
    tx: &mut Tx,
    id: Uuid,
    attempts: i32,
    error: &str,
    pause_s: f64,
) -> Result<(), sqlx::Error> {
    sqlx::query(FAILED)
        .bind(id)
        .bind(attempts)
        .bind(error)
        .bind(pause_s)
        .execute(&mut *tx.statement("UPDATE emails failed"))
        .await
        .map(drop)
}

/// Notes that there will be no further attempt.
pub(crate) async fn dead(tx: &mut Tx, id: Uuid, attempts: i32, error: &str) -> Result<(), sqlx::Error> {
    sqlx::query(DEAD)
        .bind(id)
        .bind(attempts)
        .bind(error)
        .execute(&mut *tx.statement("UPDATE emails dead"))
        .await
        .map(drop)
}

/// Removes up to `limit` mails that were finished more than `days` ago, and answers how many.
pub(crate) async fn forget(tx: &mut Tx, days: i32, limit: i64) -> Result<u64, sqlx::Error> {
    let forgotten = sqlx::query(FORGET_EMAILS)
        .bind(days)
        .bind(limit)
        .execute(&mut *tx.statement("DELETE emails"))
        .await?;
    Ok(forgotten.rows_affected())
}

/// What was sent to the user, latest first, up to `limit`.
pub(crate) async fn export(tx: &mut Tx, user_id: i64, limit: i64) -> Result<Vec<Trace>, sqlx::Error> {
    sqlx::query_as(EXPORT_EMAILS)
        .bind(user_id)
        .bind(limit)
        .fetch_all(&mut *tx.statement("SELECT emails export"))
        .await
}
