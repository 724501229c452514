//! The statements on `idempotency_keys`, found through the search path like outbox and inbox.

use rls::Tx;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tonic::Code;

use crate::request::Request;
use crate::stored::Stored;

rls::statements! {
    /// Takes the key, if nobody has it and nobody is about to take it: two of them never wait for each other.
    ///
    /// The lock comes before the insertion, which would wait for another's; both end with the transaction. The row of
    /// an earlier request is read in the same statement, as it was when the statement began.
    CLAIM = "WITH turn AS MATERIALIZED (
            SELECT pg_try_advisory_xact_lock(hashtextextended($1 || chr(10) || $2 || chr(10) || $3, 0)) AS mine
        ), taken AS (
            INSERT INTO idempotency_keys (scope, route, key, request_sha256, locked_until, request_id)
            SELECT $1, $2, $3, $4, now() + interval '15 seconds', $5 FROM turn WHERE mine
            ON CONFLICT DO NOTHING
            RETURNING attempt
        )
        SELECT turn.mine, taken.attempt, k.state, k.request_sha256 = $4 AS same, k.expires_at <= now() AS expired,
               k.locked_until <= now() AS lapsed, k.status, k.reply, k.request_id
          FROM turn LEFT JOIN taken ON true
          LEFT JOIN idempotency_keys k ON (k.scope, k.route, k.key) = ($1, $2, $3)";

    /// Takes a key over whose day is over, or whose worker is late.
    TAKE_OVER = "UPDATE idempotency_keys
           SET request_sha256 = $4, state = 'in_flight', attempt = attempt + 1, status = NULL, reply = NULL,
               locked_until = now() + interval '15 seconds', request_id = $5, created_at = now(),
               expires_at = now() + interval '24 hours'
         WHERE (scope, route, key) = ($1, $2, $3)
           AND (expires_at <= now() OR (state = 'in_flight' AND locked_until <= now() AND request_sha256 = $4))
        RETURNING attempt";

    /// Keeps the answer, unless another attempt has taken over.
    FINISH = "UPDATE idempotency_keys SET state = 'done', status = $5, reply = $6
         WHERE (scope, route, key) = ($1, $2, $3) AND attempt = $4 AND state = 'in_flight'";

    /// Lets another attempt begin at once.
    RELEASE = "UPDATE idempotency_keys SET locked_until = now()
         WHERE (scope, route, key) = ($1, $2, $3) AND attempt = $4 AND state = 'in_flight'";

    /// Waits until nobody else works with the key.
    WAIT = "SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(10) || $2 || chr(10) || $3, 0))";

    /// Keeps a refusal whose work was rolled back, unless the key was used meanwhile.
    REFUSE = "INSERT INTO idempotency_keys
               (scope, route, key, request_sha256, state, locked_until, status, reply, request_id)
        VALUES ($1, $2, $3, $4, 'done', now(), $6, $7, $5)
        ON CONFLICT (scope, route, key) DO UPDATE
           SET request_sha256 = $4, state = 'done', attempt = idempotency_keys.attempt + 1, status = $6, reply = $7,
               locked_until = now(), request_id = $5, created_at = now(), expires_at = now() + interval '24 hours'
         WHERE idempotency_keys.expires_at <= now()";

    /// The answer kept for the same request.
    ANSWER = "SELECT status, reply, request_id FROM idempotency_keys
         WHERE (scope, route, key) = ($1, $2, $3) AND request_sha256 = $4 AND state = 'done' AND expires_at > now()";

    /// Whether there is a row whose day is not over.
    KNOWN = "SELECT EXISTS (SELECT FROM idempotency_keys
                             WHERE (scope, route, key) = ($1, $2, $3) AND expires_at > now())";

    /// Deletes a batch of those whose day is over; another replica may be at it too.
    SWEEP = "DELETE FROM idempotency_keys
         WHERE (scope, route, key) IN (
                SELECT scope, route, key FROM idempotency_keys
                 WHERE expires_at <= now() LIMIT $1 FOR UPDATE SKIP LOCKED)";

    /// Deletes what is kept for one principal.
    FORGET = "DELETE FROM idempotency_keys WHERE scope = $1";
}

/// Who has the key, as [`CLAIM`] found it.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is ours, as this attempt.
    Ours(i32),
    /// Somebody else is about to take it or to let go of it.
    Taken,
    /// It was taken and given up between the beginning of the statement and its end.
    Missed,
    /// There is a row.
    Row(Known),
}

/// The row of an earlier request.
#[derive(Debug)]
pub(crate) struct Known {
    /// Whether nobody else works with the key now.
    pub(crate) mine: bool,
    pub(crate) same_request: bool,
    pub(crate) expired: bool,
    /// Whether its worker is late.
    pub(crate) lapsed: bool,
    /// What was answered; `None` while it is worked on.
    pub(crate) stored: Option<Stored>,
}

pub(crate) async fn claim(tx: &mut Tx, request: &Request) -> Result<Found, sqlx::Error> {
    let row = sqlx::query(CLAIM)
        .bind(&request.scope)
        .bind(&request.route)
        .bind(&request.key)
        .bind(request.sha256.as_slice())
        .bind(&request.request_id)
        .fetch_one(&mut *tx.statement("INSERT idempotency_keys"))
        .await?;
    if let Some(attempt) = row.try_get("attempt")? {
        return Ok(Found::Ours(attempt));
    }
    let mine = row.try_get("mine")?;
    let Some(state) = row.try_get::<Option<&str>, _>("state")? else {
        return Ok(if mine { Found::Missed } else { Found::Taken });
    };
    Ok(Found::Row(Known {
        mine,
        same_request: row.try_get("same")?,
        expired: row.try_get("expired")?,
        lapsed: row.try_get("lapsed")?,
        stored: if state == "done" { Some(stored(&row)?) } else { None },
    }))
}

pub(crate) async fn take_over(tx: &mut Tx, request: &Request) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar(TAKE_OVER)
        .bind(&request.scope)
        .bind(&request.route)
        .bind(&request.key)
        .bind(request.sha256.as_slice())
        .bind(&request.request_id)
        .fetch_optional(&mut *tx.statement("UPDATE idempotency_keys take over"))
        .await
}

/// Whether the attempt is still the latest one.
pub(crate) async fn finish(
    tx: &mut Tx,
    request: &Request,
    attempt: i32,
    code: Code,
    body: Option<Vec<u8>>,
) -> Result<bool, sqlx::Error> {
    let updated = sqlx::query(FINISH)
        .bind(&request.scope)
        .bind(&request.route)
        .bind(&request.key)
        .bind(attempt)
        .bind(number(code))
        .bind(body)
        .execute(&mut *tx.statement("UPDATE idempotency_keys"))
        .await?;
    Ok(updated.rows_affected() == 1)
}

pub(crate) async fn release(tx: &mut Tx, request: &Request, attempt: i32) -> Result<(), sqlx::Error> {
    sqlx::query(RELEASE)
        .bind(&request.scope)
        .bind(&request.route)
        .bind(&request.key)
        .bind(attempt)
        .execute(&mut *tx.statement("UPDATE idempotency_keys release"))
        .await?;
    Ok(())
}

pub(crate) async fn wait(tx: &mut Tx, request: &Request) -> Result<(), sqlx::Error> {
    sqlx::query(WAIT)
        .bind(&request.scope)
        .bind(&request.route)
        .bind(&request.key)
        .execute(&mut *tx.statement("SELECT idempotency lock"))
        .await?;
    Ok(())
}

/// Whether the refusal is what is kept now.
pub(crate) async fn refuse(
    tx: &mut Tx,
    request: &Request,
    code: Code,
    body: Option<Vec<u8>>,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(REFUSE)
        .bind(&request.scope)
        .bind(&request.route)
        .bind(&request.key)
        .bind(request.sha256.as_slice())
        .bind(&request.request_id)
        .bind(number(code))
        .bind(body)
        .execute(&mut *tx.statement("INSERT idempotency_keys refusal"))
        .await?;
    Ok(inserted.rows_affected() == 1)
}

pub(crate) async fn answer(tx: &mut Tx, request: &Request) -> Result<Option<Stored>, sqlx::Error> {
    let row = sqlx::query(ANSWER)
        .bind(&request.scope)
        .bind(&request.route)
        .bind(&request.key)
        .bind(request.sha256.as_slice())
        .fetch_optional(&mut *tx.statement("SELECT idempotency_keys"))
        .await?;
    row.as_ref().map(stored).transpose()
}

pub(crate) async fn is_known(tx: &mut Tx, request: &Request) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(KNOWN)
        .bind(&request.scope)
        .bind(&request.route)
        .bind(&request.key)
        .fetch_one(&mut *tx.statement("SELECT idempotency_keys known"))
        .await
}

pub(crate) async fn sweep(tx: &mut Tx, batch: i64) -> Result<u64, sqlx::Error> {
    let deleted =
        sqlx::query(SWEEP).bind(batch).execute(&mut *tx.statement("DELETE idempotency_keys")).await?;
    Ok(deleted.rows_affected())
}

pub(crate) async fn forget(tx: &mut Tx, scope: &str) -> Result<u64, sqlx::Error> {
    let deleted =
        sqlx::query(FORGET).bind(scope).execute(&mut *tx.statement("DELETE idempotency_keys of one")).await?;
    Ok(deleted.rows_affected())
}

fn stored(row: &PgRow) -> Result<Stored, sqlx::Error> {
    let code: i16 = row.try_get("status")?;
    Ok(Stored {
        code: Code::from_i32(i32::from(code)),
        body: row.try_get("reply")?,
        request_id: row.try_get("request_id")?,
    })
}

fn number(code: Code) -> i16 {
    i16::try_from(i32::from(code)).expect("there are seventeen codes")
}
