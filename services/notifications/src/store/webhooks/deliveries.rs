//! Deliveries, as events make them and admins look at them.

use rls::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

rls::statements! {
    /// The active endpoints that want a message.
    SUBSCRIBERS = "SELECT id FROM webhook_endpoints WHERE is_active AND events && $1::text[] ORDER BY id";
    /// One delivery per endpoint, due at once.
    INSERT_DELIVERIES = "INSERT INTO webhook_deliveries (id, endpoint_id, event_id, type, aggregate, aggregate_id,
                                                         aggregate_version, body, status, next_attempt_at, created_at)
                         SELECT given.id, given.endpoint_id, $3::uuid, $4::text, $5::text, $6::text,
                                $7::bigint, $8::bytea, 'pending', $9::timestamptz, $9::timestamptz
                           FROM unnest($1::uuid[], $2::bigint[]) AS given (id, endpoint_id)
                             ON CONFLICT (endpoint_id, event_id) DO NOTHING";
    /// A message that was sent by hand, with what became of it.
    INSERT_TRIED = "INSERT INTO webhook_deliveries (id, endpoint_id, event_id, type, aggregate, aggregate_id,
                                                    aggregate_version, body, status, attempts, last_status,
                                                    last_error, last_latency_ms, created_at, delivered_at)
                    VALUES ($1::uuid, $2::bigint, $3::uuid, $4::text, $5::text, $6::text,
                            $7::bigint, $8::bytea, $9::text, 1, $10::integer,
                            $11::text, $12::integer, $13::timestamptz, $14::timestamptz)
                 RETURNING id, endpoint_id, event_id, type, status, attempts, next_attempt_at, last_status,
                           last_error, last_latency_ms, created_at, delivered_at";
    /// A page of an endpoint's log.
    DELIVERIES = "SELECT id, endpoint_id, event_id, type, status, attempts, next_attempt_at, last_status,
                         last_error, last_latency_ms, created_at, delivered_at
                    FROM webhook_deliveries
                   WHERE endpoint_id = $1::bigint
                   ORDER BY created_at DESC, id DESC
                   LIMIT $2::bigint OFFSET $3::bigint";
    /// A page of an endpoint's log, of one status.
    DELIVERIES_OF_STATUS = "SELECT id, endpoint_id, event_id, type, status, attempts, next_attempt_at, last_status,
                                   last_error, last_latency_ms, created_at, delivered_at
                              FROM webhook_deliveries
                             WHERE endpoint_id = $1::bigint AND status = $4::text
                             ORDER BY created_at DESC, id DESC
                             LIMIT $2::bigint OFFSET $3::bigint";
    /// How long an endpoint's log is, as far as pages reach.
    COUNT_DELIVERIES = "SELECT count(*)
                          FROM (SELECT FROM webhook_deliveries WHERE endpoint_id = $1::bigint LIMIT $2::bigint) counted";
    /// The same for one status.
    COUNT_DELIVERIES_OF_STATUS = "SELECT count(*)
                                    FROM (SELECT FROM webhook_deliveries
                                           WHERE endpoint_id = $1::bigint AND status = $3::text
                                           LIMIT $2::bigint) counted";
    /// Whether the endpoint of a delivery is active.
    ENDPOINT_OF = "SELECT e.is_active
                     FROM webhook_deliveries d
                     JOIN webhook_endpoints e ON e.id = d.endpoint_id
                    WHERE d.id = $1::uuid";
    /// Due at once, with its attempts counted anew. Whoever has it under way has it no more.
    REDELIVER = "UPDATE webhook_deliveries
                    SET status = 'pending', attempts = 0, next_attempt_at = $2::timestamptz,
                        lease = NULL, leased_until = NULL, delivered_at = NULL
                  WHERE id = $1::uuid
              RETURNING id, endpoint_id, event_id, type, status, attempts, next_attempt_at, last_status,
                        last_error, last_latency_ms, created_at, delivered_at";
}

/// A line of an endpoint's log.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Delivery {
    pub(crate) id: Uuid,
    pub(crate) endpoint_id: i64,
    pub(crate) event_id: Uuid,
    pub(crate) r#type: String,
    pub(crate) status: String,
    pub(crate) attempts: i32,
    pub(crate) next_attempt_at: Option<OffsetDateTime>,
    pub(crate) last_status: Option<i32>,
    pub(crate) last_error: Option<String>,
    pub(crate) last_latency_ms: Option<i32>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) delivered_at: Option<OffsetDateTime>,
}

/// A message as it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) event_id: Uuid,
    pub(crate) r#type: &'a str,
    pub(crate) aggregate: &'a str,
    pub(crate) aggregate_id: &'a str,
    pub(crate) aggregate_version: i64,
    pub(crate) body: &'a [u8],
}

/// How a message sent by hand went.
#[derive(Debug)]
pub(crate) struct Tried<'a> {
    pub(crate) id: Uuid,
    pub(crate) endpoint_id: i64,
    pub(crate) status: &'static str,
    pub(crate) last_status: Option<i32>,
    pub(crate) last_error: Option<&'a str>,
    pub(crate) last_latency_ms: i32,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) delivered_at: Option<OffsetDateTime>,
}

/// The active endpoints that named one of these patterns.
pub(crate) async fn subscribers(tx: &mut Tx, patterns: &[String]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(SUBSCRIBERS)
        .bind(patterns)
        .fetch_all(&mut *tx.statement("SELECT webhook_endpoints subscribed"))
        .await
}

/// One delivery to each of these endpoints, due `now`; what is there already stays.
pub(crate) async fn insert(
    tx: &mut Tx,
    endpoints: &[i64],
    message: Stored<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = endpoints.iter().map(|_| Uuid::now_v7()).collect();
    sqlx::query(INSERT_DELIVERIES)
        .bind(ids)
        .bind(endpoints)
        .bind(message.event_id)
        .bind(message.r#type)
        .bind(message.aggregate)
        .bind(message.aggregate_id)
        .bind(message.aggregate_version)
        .bind(message.body)
        .bind(now)
        .execute(&mut *tx.statement("INSERT webhook_deliveries"))
        .await
        .map(drop)
}

/// Writes down a message that was sent by hand.
pub(crate) async fn insert_tried(
    tx: &mut Tx,
    message: Stored<'_>,
    tried: &Tried<'_>,
) -> Result<Delivery, sqlx::Error> {
    sqlx::query_as(INSERT_TRIED)
        .bind(tried.id)
        .bind(tried.endpoint_id)
        .bind(message.event_id)
        .bind(message.r#type)
        .bind(message.aggregate)
        .bind(message.aggregate_id)
        .bind(message.aggregate_version)
        .bind(message.body)
        .bind(tried.status)
        .bind(tried.last_status)
        .bind(tried.last_error)
        .bind(tried.last_latency_ms)
        .bind(tried.created_at)
        .bind(tried.delivered_at)
        .fetch_one(&mut *tx.statement("INSERT webhook_deliveries tried"))
        .await
}

/// A page of an endpoint's log, latest first.
pub(crate) async fn page(
    tx: &mut Tx,
    endpoint_id: i64,
    status: Option<&str>,
    limit: i64,
    offset: i64,
) -> Result<Vec<Delivery>, sqlx::Error> {
    let query = match status {
        Some(status) => {
            sqlx::query_as(DELIVERIES_OF_STATUS).bind(endpoint_id).bind(limit).bind(offset).bind(status)
        }
        None => sqlx::query_as(DELIVERIES).bind(endpoint_id).bind(limit).bind(offset),
    };
    query.fetch_all(&mut *tx.statement("SELECT webhook_deliveries")).await
}

/// How many lines an endpoint's log has, `at_most` at most.
pub(crate) async fn count(
    tx: &mut Tx,
    endpoint_id: i64,
    status: Option<&str>,
    at_most: i64,
) -> Result<i64, sqlx::Error> {
    let query = match status {
        Some(status) => {
            sqlx::query_scalar(COUNT_DELIVERIES_OF_STATUS).bind(endpoint_id).bind(at_most).bind(status)
        }
        None => sqlx::query_scalar(COUNT_DELIVERIES).bind(endpoint_id).bind(at_most),
    };
    query.fetch_one(&mut *tx.statement("SELECT webhook_deliveries count")).await
}

/// Whether the endpoint of this delivery is active; `None` when there is no such delivery.
pub(crate) async fn is_endpoint_active(tx: &mut Tx, id: Uuid) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar(ENDPOINT_OF)
        .bind(id)
        .fetch_optional(&mut *tx.statement("SELECT webhook_deliveries endpoint"))
        .await
}

/// Makes a delivery due `now`, as if it had never been tried.
pub(crate) async fn redeliver(
    tx: &mut Tx,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Delivery>, sqlx::Error> {
    sqlx::query_as(REDELIVER)
        .bind(id)
        .bind(now)
        .fetch_optional(&mut *tx.statement("UPDATE webhook_deliveries redeliver"))
        .await
}
