//! What has expired.

use rls::Tx;
use time::OffsetDateTime;

use crate::error::Error;

/// Rows that one statement removes at most.
pub(crate) const PIECE_ROWS: u64 = 1_000;

rls::statements! {
    THROTTLES = "DELETE FROM throttles
                  WHERE key IN (SELECT key FROM throttles WHERE expires_at < $1::timestamptz LIMIT 1000)";
    MAIL_TOKENS = "DELETE FROM mail_tokens
                    WHERE token_sha256 IN (SELECT token_sha256 FROM mail_tokens WHERE expires_at < $1::timestamptz LIMIT 1000)";
    /// Used or not: from here on it would be refused as expired.
    REFRESH_TOKENS = "DELETE FROM refresh_tokens
                       WHERE token_sha256 IN (SELECT token_sha256 FROM refresh_tokens
                                               WHERE expires_at < $1::timestamptz - interval '1 day' LIMIT 1000)";
    REVOCATIONS = "DELETE FROM revocations
                    WHERE seq IN (SELECT seq FROM revocations WHERE until < $1::timestamptz LIMIT 1000)";
    /// A day after nothing can come of them any more: no token of theirs is good.
    SESSIONS_EXPIRED = "DELETE FROM sessions
                         WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1::timestamptz - interval '1 day' LIMIT 1000)";
    SESSIONS_REVOKED = "DELETE FROM sessions
                         WHERE id IN (SELECT id FROM sessions WHERE revoked_at < $1::timestamptz - interval '1 day' LIMIT 1000)";
    SESSIONS_IDLE = "DELETE FROM sessions
                      WHERE id IN (SELECT id FROM sessions WHERE revoked_at IS NULL AND last_used_at < $1::timestamptz - interval '8 days' LIMIT 1000)";
    /// Not sent in time: nobody needs them any more.
    MAIL_JOBS = "DELETE FROM mail_jobs
                  WHERE id IN (SELECT id FROM mail_jobs WHERE expires_at < $1::timestamptz LIMIT 1000)";
    /// With their documents.
    DATA_JOBS = "DELETE FROM data_jobs
                  WHERE id IN (SELECT id FROM data_jobs
                                WHERE finished_at IS NOT NULL AND expires_at < $1::timestamptz LIMIT 1000)";
    DEVICES = "DELETE FROM devices
                WHERE (user_id, device_sha256) IN (SELECT user_id, device_sha256 FROM devices
                                                    WHERE last_seen_at < $1::timestamptz - interval '400 days' LIMIT 1000)";
}

/// Runs one of the statements above; answers how many rows went.
pub(crate) async fn piece(tx: &mut Tx, statement: &'static str, now: OffsetDateTime) -> Result<u64, Error> {
    let swept = sqlx::query(statement).bind(now).execute(&mut *tx.statement("DELETE expired")).await?;
    Ok(swept.rows_affected())
}
