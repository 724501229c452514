//! What links in mails prove.

use rls::{Tx, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;
use crate::secrets::Sha256Hash;

rls::statements! {
    /// A mail with a link, worth sending for as long as the link is good. None for a user that there is none of.
    ASK_FOR_MAIL = "INSERT INTO mail_jobs (id, user_id, template, created_at, next_attempt_at, expires_at)
                    SELECT $1::uuid, u.id, $3::text, $4::timestamptz, $4, $5::timestamptz
                      FROM users u WHERE u.id = $2::bigint AND u.deleted_at IS NULL";
    ISSUE_MAIL_TOKEN = "INSERT INTO mail_tokens (token_sha256, user_id, purpose, created_at, expires_at)
             SELECT $1::bytea, u.id, $3::text, $4::timestamptz, $5::timestamptz
               FROM users u WHERE u.id = $2::bigint AND u.deleted_at IS NULL";
    VOID = "DELETE FROM mail_tokens WHERE user_id = $1::bigint AND purpose = $2::text";
    /// Whose it is, while it is good.
    OWNER = "SELECT user_id FROM mail_tokens
              WHERE token_sha256 = $1::bytea AND purpose = $2::text AND expires_at > $3::timestamptz";
    /// Uses it up. Of two at the same moment one finds nothing.
    REDEEM = "DELETE FROM mail_tokens
               WHERE token_sha256 = $1::bytea AND purpose = $2::text AND expires_at > $3::timestamptz
              RETURNING user_id";
}

pub(crate) async fn ask_for_mail(
    tx: &mut Tx,
    job: Uuid,
    user: UserId,
    purpose: &str,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(ASK_FOR_MAIL)
        .bind(job)
        .bind(user.0)
        .bind(purpose)
        .bind(now)
        .bind(until)
        .execute(&mut *tx.statement("INSERT mail_jobs"))
        .await?;
    Ok(())
}

pub(crate) async fn issue(
    tx: &mut Tx,
    token: &Sha256Hash,
    user: UserId,
    purpose: &str,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(ISSUE_MAIL_TOKEN)
        .bind(&token[..])
        .bind(user.0)
        .bind(purpose)
        .bind(now)
        .bind(until)
        .execute(&mut *tx.statement("INSERT mail_tokens"))
        .await?;
    Ok(())
}

pub(crate) async fn void(tx: &mut Tx, user: UserId, purpose: &str) -> Result<(), Error> {
    sqlx::query(VOID).bind(user.0).bind(purpose).execute(&mut *tx.statement("DELETE mail_tokens")).await?;
    Ok(())
}

pub(crate) async fn owner(
    tx: &mut Tx,
    token: &Sha256Hash,
    purpose: &str,
    now: OffsetDateTime,
) -> Result<Option<UserId>, Error> {
    let owner = sqlx::query_scalar(OWNER)
        .bind(&token[..])
        .bind(purpose)
        .bind(now)
        .fetch_optional(&mut *tx.statement("SELECT mail_tokens"))
        .await?;
    Ok(owner.map(UserId))
}

pub(crate) async fn redeem(
    tx: &mut Tx,
    token: &Sha256Hash,
    purpose: &str,
    now: OffsetDateTime,
) -> Result<Option<UserId>, Error> {
    let owner = sqlx::query_scalar(REDEEM)
        .bind(&token[..])
        .bind(purpose)
        .bind(now)
        .fetch_optional(&mut *tx.statement("DELETE mail_tokens"))
        .await?;
    Ok(owner.map(UserId))
}
