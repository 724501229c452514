//! The development mailbox. Only the service itself sees it.

use rls::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

rls::statements! {
    /// Puts a mail in; the same one again changes nothing.
    DELIVER = "INSERT INTO mailbox (email_id, to_email, subject, text_body, html_body)
               VALUES ($1::uuid, $2::text::public.citext, $3::text, $4::text, $5::text)
                   ON CONFLICT (email_id) DO NOTHING";
    /// Keeps the latest ones.
    KEEP_LATEST = "DELETE FROM mailbox
                    WHERE email_id IN (SELECT email_id FROM mailbox ORDER BY delivered_at DESC OFFSET $1::bigint)";
    /// The latest mails, to one address or to all.
    MAILS = "SELECT email_id, to_email::text AS to_email, subject, text_body, html_body, delivered_at
               FROM mailbox
              WHERE $1::text IS NULL OR to_email = $1::text::public.citext
              ORDER BY delivered_at DESC
              LIMIT $2::bigint";
    /// One mail.
    MAIL = "SELECT email_id, to_email::text AS to_email, subject, text_body, html_body, delivered_at
              FROM mailbox
             WHERE email_id = $1::uuid";
}

/// A mail in the mailbox.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Mail {
    pub(crate) email_id: Uuid,
    pub(crate) to_email: String,
    pub(crate) subject: String,
    pub(crate) text_body: String,
    pub(crate) html_body: String,
    pub(crate) delivered_at: OffsetDateTime,
}

/// Puts a mail in, once, and lets go of all but the latest `keep`.
pub(crate) async fn deliver(
    tx: &mut Tx,
    email_id: Uuid,
    to_email: &str,
    letter: &crate::domain::letter::Rendered,
    keep: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(DELIVER)
        .bind(email_id)
        .bind(to_email)
        .bind(&letter.subject)
        .bind(&letter.text)
        .bind(&letter.html)
        .execute(&mut *tx.statement("INSERT mailbox"))
        .await?;
    sqlx::query(KEEP_LATEST).bind(keep).execute(&mut *tx.statement("DELETE mailbox")).await.map(drop)
}

/// The latest mails, up to `limit`.
pub(crate) async fn mails(tx: &mut Tx, to: Option<&str>, limit: i64) -> Result<Vec<Mail>, sqlx::Error> {
    sqlx::query_as(MAILS).bind(to).bind(limit).fetch_all(&mut *tx.statement("SELECT mailbox")).await
}

/// One mail.
pub(crate) async fn mail(tx: &mut Tx, email_id: Uuid) -> Result<Option<Mail>, sqlx::Error> {
    sqlx::query_as(MAIL).bind(email_id).fetch_optional(&mut *tx.statement("SELECT mailbox by id")).await
}
