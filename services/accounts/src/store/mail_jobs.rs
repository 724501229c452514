//! Mails on their way to the notifications service: a queue in a table, with leases.

use std::time::Duration;

use rls::{Tx, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::mail::MailTemplate;

/// A mail that this process is sending until its lease ends.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct ClaimedMail {
    pub(crate) id: Uuid,
    pub(crate) user_id: i64,
    pub(crate) template: String,
    pub(crate) attempts: i32,
    /// A JSON object of texts.
    pub(crate) variables: serde_json::Value,
    /// Sealed address, name and locale of somebody whose row no longer has them.
    pub(crate) recipient: Option<Vec<u8>>,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) locale: String,
    /// The three above are nobody's.
    pub(crate) is_erased: bool,
}

/// Addresses stay out of logs.
impl std::fmt::Debug for ClaimedMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimedMail")
            .field("id", &self.id)
            .field("template", &self.template)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

rls::statements! {
    /// A mail to the user's own address, as it is when the mail is sent.
    INSERT_MAIL_JOB =
        "INSERT INTO mail_jobs (id, user_id, template, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
    /// A mail to the sealed address of somebody whose row will not have it any more.
    INSERT_SEALED_MAIL_JOB =
        "INSERT INTO mail_jobs (id, user_id, template, created_at, expires_at, recipient)
         VALUES ($1, $2, $3, $4, $5, $6)";
    /// The mails that have been due for longest, each leased for `$2` seconds.
    CLAIM_MAIL_JOBS =
        "UPDATE mail_jobs job
            SET attempts = job.attempts + 1, next_attempt_at = now() + make_interval(secs => $2)
           FROM (SELECT id
                   FROM mail_jobs
                  WHERE next_attempt_at <= now() AND expires_at > now()
                  ORDER BY next_attempt_at
                  LIMIT $1
                    FOR UPDATE SKIP LOCKED) due,
                users
          WHERE job.id = due.id AND users.id = job.user_id
      RETURNING job.id, job.user_id, job.template, job.attempts, job.variables, job.recipient,
                users.email::text AS email, users.name, users.locale, users.deleted_at IS NOT NULL AS is_erased";
    DELETE_MAIL_JOB = "DELETE FROM mail_jobs WHERE id = $1";
    /// Due again in `$3` seconds, unless another attempt has begun.
    RETRY_MAIL_JOB =
        "UPDATE mail_jobs SET next_attempt_at = now() + make_interval(secs => $3) WHERE id = $1 AND attempts = $2";
    /// Whatever waits to be sent to the user.
    DELETE_MAIL_JOBS_OF_USER = "DELETE FROM mail_jobs WHERE user_id = $1";
}

/// Asks for a mail to the user, to be sent once the transaction is committed. `id` is also what the token in
/// the mail follows from, if it has one.
pub(crate) async fn enqueue(
    tx: &mut Tx,
    id: Uuid,
    user: UserId,
    template: MailTemplate,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_MAIL_JOB)
        .bind(id)
        .bind(user.0)
        .bind(template.as_str())
        .bind(now)
        .bind(now + template.worth_sending_for())
        .execute(&mut *tx.statement("INSERT mail_jobs"))
        .await
        .map(drop)
}

/// Asks for a mail to a sealed recipient.
pub(crate) async fn enqueue_sealed(
    tx: &mut Tx,
    user: UserId,
    template: MailTemplate,
    recipient: &[u8],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_SEALED_MAIL_JOB)
        .bind(Uuid::now_v7())
        .bind(user.0)
        .bind(template.as_str())
        .bind(now)
        .bind(now + template.worth_sending_for())
        .bind(recipient)
        .execute(&mut *tx.statement("INSERT mail_jobs"))
        .await
        .map(drop)
}

/// Takes up to `count` mails that are due, each for `lease`.
pub(crate) async fn claim(tx: &mut Tx, count: i64, lease: Duration) -> Result<Vec<ClaimedMail>, sqlx::Error> {
    sqlx::query_as(CLAIM_MAIL_JOBS)
        .bind(count)
        .bind(lease.as_secs_f64())
        .fetch_all(&mut *tx.statement("UPDATE mail_jobs claim"))
        .await
}

/// The mail is on its way, or never will be: nothing of it is kept.
pub(crate) async fn delete(tx: &mut Tx, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(DELETE_MAIL_JOB).bind(id).execute(&mut *tx.statement("DELETE mail_jobs")).await.map(drop)
}

/// Another try after `pause`.
pub(crate) async fn retry(tx: &mut Tx, mail: &ClaimedMail, pause: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(RETRY_MAIL_JOB)
        .bind(mail.id)
        .bind(mail.attempts)
        .bind(pause.as_secs_f64())
        .execute(&mut *tx.statement("UPDATE mail_jobs retry"))
        .await
        .map(drop)
}

/// Removes whatever waits to be sent to the user.
pub(crate) async fn delete_of_user(tx: &mut Tx, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query(DELETE_MAIL_JOBS_OF_USER)
        .bind(user.0)
        .execute(&mut *tx.statement("DELETE mail_jobs of user"))
        .await
        .map(drop)
}
