//! The dispatcher's statements: what is due, whose turn it is, what became of it.

use rls::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::endpoints::Addressee;

rls::statements! {
    /// Takes what is due under a lease.
    ///
    /// Of each endpoint and aggregate only the lowest open version can be taken, so that a later one waits however
    /// the earlier one fares; and each endpoint has a few places of its own, so that a slow one takes nobody
    /// else's. Who comes second to a row that another dispatcher is taking skips it.
    CLAIM = "WITH due AS (
                 SELECT picked.id
                   FROM webhook_endpoints e
                  CROSS JOIN LATERAL (
                        SELECT count(*) AS places
                          FROM webhook_deliveries busy
                         WHERE busy.endpoint_id = e.id AND busy.lease IS NOT NULL AND busy.leased_until > $1::timestamptz) taken
                  CROSS JOIN LATERAL (
                        SELECT head.id, head.next_attempt_at
                          FROM (SELECT DISTINCT ON (d.aggregate, d.aggregate_id) d.id, d.next_attempt_at, d.leased_until
                                  FROM webhook_deliveries d
                                 WHERE d.endpoint_id = e.id AND d.status IN ('pending', 'failed')
                                 ORDER BY d.aggregate, d.aggregate_id, d.aggregate_version, d.id) head
                         WHERE head.next_attempt_at <= $1::timestamptz
                           AND (head.leased_until IS NULL OR head.leased_until <= $1::timestamptz)
                         ORDER BY head.next_attempt_at, head.id
                         LIMIT greatest($4::bigint - taken.places, 0)) picked
                  WHERE e.is_active
                  ORDER BY picked.next_attempt_at, picked.id
                  LIMIT $5::bigint),
             locked AS (
                 SELECT d.id
                   FROM webhook_deliveries d
                  WHERE d.id IN (SELECT id FROM due)
                    AND d.status IN ('pending', 'failed')
                    AND (d.leased_until IS NULL OR d.leased_until <= $1::timestamptz)
                    FOR UPDATE SKIP LOCKED)
             UPDATE webhook_deliveries d
                SET lease = $2::uuid, leased_until = $3::timestamptz
               FROM locked, webhook_endpoints e
              WHERE d.id = locked.id AND e.id = d.endpoint_id
          RETURNING d.id, d.endpoint_id, d.event_id, d.body, d.attempts,
                    e.url, e.secret_enc, e.previous_secret_enc, e.previous_until";
    /// What became of an attempt, unless somebody else has the delivery by now.
    SETTLE = "UPDATE webhook_deliveries
                 SET status = $3::text, attempts = attempts + 1, next_attempt_at = $4::timestamptz,
                     last_status = $5::integer, last_error = $6::text, last_latency_ms = $7::integer,
                     delivered_at = $8::timestamptz, lease = NULL, leased_until = NULL
               WHERE id = $1::uuid AND lease = $2::uuid";
    /// A success ends the row of dead deliveries.
    SUCCEEDED = "UPDATE webhook_endpoints SET consecutive_failures = 0
                  WHERE id = $1::bigint AND consecutive_failures <> 0";
    /// One more dead delivery; the last straw switches the endpoint off.
    DIED = "UPDATE webhook_endpoints
               SET consecutive_failures = consecutive_failures + 1,
                   is_active       = is_active AND consecutive_failures + 1 < $2::integer,
                   disabled_reason = CASE WHEN is_active AND consecutive_failures + 1 >= $2::integer
                                          THEN $3::text ELSE disabled_reason END,
                   version         = CASE WHEN is_active AND consecutive_failures + 1 >= $2::integer
                                          THEN version + 1 ELSE version END
             WHERE id = $1::bigint
         RETURNING is_active";
    /// The receiver wants no more.
    GONE = "UPDATE webhook_endpoints
               SET is_active = false, disabled_reason = $2::text, version = version + 1
             WHERE id = $1::bigint AND is_active";
    /// Forgets deliveries of long ago, a few at a time.
    FORGET = "DELETE FROM webhook_deliveries
               WHERE id IN (SELECT id FROM webhook_deliveries
                             WHERE created_at < $1::timestamptz AND lease IS NULL
                             ORDER BY created_at
                             LIMIT $2::bigint)";
}

/// A delivery that is under way.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) endpoint_id: i64,
    pub(crate) event_id: Uuid,
    pub(crate) body: Vec<u8>,
    /// Before this one.
    pub(crate) attempts: i32,
    #[sqlx(flatten)]
    pub(crate) addressee: Addressee,
}

/// How much a dispatcher takes at once, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) lease: Uuid,
    pub(crate) now: OffsetDateTime,
    pub(crate) until: OffsetDateTime,
    pub(crate) per_endpoint: i64,
    pub(crate) limit: i64,
}

/// What became of an attempt.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: Uuid,
    pub(crate) lease: Uuid,
    pub(crate) status: &'static str,
    pub(crate) next_attempt_at: Option<OffsetDateTime>,
    pub(crate) last_status: Option<i32>,
    pub(crate) last_error: Option<String>,
    pub(crate) last_latency_ms: i32,
    pub(crate) delivered_at: Option<OffsetDateTime>,
}

/// Takes deliveries that are due; nobody else takes them before the lease ends.
pub(crate) async fn claim(tx: &mut Tx, claim: Claim) -> Result<Vec<Claimed>, sqlx::Error> {
    sqlx::query_as(CLAIM)
        .bind(claim.now)
        .bind(claim.lease)
        .bind(claim.until)
        .bind(claim.per_endpoint)
        .bind(claim.limit)
        .fetch_all(&mut *tx.statement("UPDATE webhook_deliveries claim"))
        .await
}

/// Writes down what became of an attempt. `false`: the lease was lost, and somebody else decides.
pub(crate) async fn settle(tx: &mut Tx, settled: &Settled) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(SETTLE)
        .bind(settled.id)
        .bind(settled.lease)
        .bind(settled.status)
        .bind(settled.next_attempt_at)
        .bind(settled.last_status)
        .bind(&settled.last_error)
        .bind(settled.last_latency_ms)
        .bind(settled.delivered_at)
        .execute(&mut *tx.statement("UPDATE webhook_deliveries settle"))
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes a success of the endpoint.
pub(crate) async fn succeeded(tx: &mut Tx, endpoint_id: i64) -> Result<(), sqlx::Error> {
    sqlx::query(SUCCEEDED)
        .bind(endpoint_id)
        .execute(&mut *tx.statement("UPDATE webhook_endpoints succeeded"))
        .await
        .map(drop)
}

/// Notes a dead delivery of the endpoint, and switches it off for `reason` when that was one of `failures_max`.
/// Answers whether it is still active.
pub(crate) async fn died(
    tx: &mut Tx,
    endpoint_id: i64,
    failures_max: i32,
    reason: &str,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar(DIED)
        .bind(endpoint_id)
        .bind(failures_max)
        .bind(reason)
        .fetch_optional(&mut *tx.statement("UPDATE webhook_endpoints died"))
        .await
}

/// Switches the endpoint off.
pub(crate) async fn gone(tx: &mut Tx, endpoint_id: i64, reason: &str) -> Result<(), sqlx::Error> {
    sqlx::query(GONE)
        .bind(endpoint_id)
        .bind(reason)
        .execute(&mut *tx.statement("UPDATE webhook_endpoints gone"))
        .await
        .map(drop)
}

/// Removes up to `limit` deliveries made before `before`, and answers how many.
pub(crate) async fn forget(tx: &mut Tx, before: OffsetDateTime, limit: i64) -> Result<u64, sqlx::Error> {
    let forgotten = sqlx::query(FORGET)
        .bind(before)
        .bind(limit)
        .execute(&mut *tx.statement("DELETE webhook_deliveries"))
        .await?;
    Ok(forgotten.rows_affected())
}
