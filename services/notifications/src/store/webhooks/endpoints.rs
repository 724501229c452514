//! Endpoints, as admins keep them.

use rls::Tx;
use time::OffsetDateTime;

rls::statements! {
    /// Held while an endpoint is made: two admins at once must not make the hundred-and-first.
    LOCK_ENDPOINTS = "SELECT pg_advisory_xact_lock(hashtext('notifications.webhook_endpoints'))";
    /// How many there are.
    COUNT_ENDPOINTS = "SELECT count(*) FROM webhook_endpoints";
    /// The id of the next one: its secret is sealed with it.
    NEXT_ENDPOINT_ID = "SELECT nextval('notifications.webhook_endpoints_id_seq')";
    /// A new endpoint.
    INSERT_ENDPOINT = "INSERT INTO webhook_endpoints (id, owner_id, url, events, secret_enc, created_at)
                       VALUES ($1::bigint, $2::bigint, $3::text, $4::text[], $5::bytea, $6::timestamptz)
                    RETURNING id, url, events, is_active, consecutive_failures, disabled_reason, version, created_at";
    /// All of them.
    ENDPOINTS = "SELECT id, url, events, is_active, consecutive_failures, disabled_reason, version, created_at
                   FROM webhook_endpoints
                  ORDER BY id
                  LIMIT $1::bigint";
    /// One of them.
    ENDPOINT = "SELECT id, url, events, is_active, consecutive_failures, disabled_reason, version, created_at
                  FROM webhook_endpoints
                 WHERE id = $1::bigint";
    /// One of them, until the transaction ends nobody else's.
    LOCK_ENDPOINT = "SELECT id, url, events, is_active, consecutive_failures, disabled_reason, version, created_at
                       FROM webhook_endpoints
                      WHERE id = $1::bigint
                        FOR UPDATE";
    /// New settings. Switching an endpoint on forgives what it failed.
    UPDATE_ENDPOINT = "UPDATE webhook_endpoints
                          SET url = $2::text, events = $3::text[], is_active = $4::boolean,
                              consecutive_failures = CASE WHEN $4::boolean AND NOT is_active THEN 0 ELSE consecutive_failures END,
                              disabled_reason = CASE WHEN $4::boolean THEN NULL ELSE coalesce(disabled_reason, $5::text) END,
                              version = version + 1
                        WHERE id = $1::bigint
                    RETURNING id, url, events, is_active, consecutive_failures, disabled_reason, version, created_at";
    /// An endpoint and its log are gone.
    DELETE_ENDPOINT = "DELETE FROM webhook_endpoints WHERE id = $1::bigint";
    /// A new secret; the former one stays for a while.
    ROTATE_SECRET = "UPDATE webhook_endpoints
                        SET previous_secret_enc = secret_enc, previous_until = $3::timestamptz,
                            secret_enc = $2::bytea
                      WHERE id = $1::bigint";
    /// Where to send a message by hand, and what to sign it with.
    ADDRESSEE = "SELECT url, secret_enc, previous_secret_enc, previous_until
                   FROM webhook_endpoints
                  WHERE id = $1::bigint";
}

/// An endpoint without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Endpoint {
    pub(crate) id: i64,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) is_active: bool,
    pub(crate) consecutive_failures: i32,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) version: i64,
    pub(crate) created_at: OffsetDateTime,
}

/// An endpoint to be made.
#[derive(Debug)]
pub(crate) struct NewEndpoint<'a> {
    pub(crate) id: i64,
    pub(crate) owner_id: i64,
    pub(crate) url: &'a str,
    pub(crate) events: &'a [String],
    pub(crate) secret_enc: &'a [u8],
    pub(crate) created_at: OffsetDateTime,
}

/// Where a message goes and what it is signed with, sealed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Addressee {
    pub(crate) url: String,
    pub(crate) secret_enc: Vec<u8>,
    pub(crate) previous_secret_enc: Option<Vec<u8>>,
    pub(crate) previous_until: Option<OffsetDateTime>,
}

/// How many endpoints there are; nobody else makes one before this transaction ends.
pub(crate) async fn count_locked(tx: &mut Tx) -> Result<i64, sqlx::Error> {
    sqlx::query(LOCK_ENDPOINTS).execute(&mut *tx.statement("SELECT pg_advisory_xact_lock")).await?;
    sqlx::query_scalar(COUNT_ENDPOINTS).fetch_one(&mut *tx.statement("SELECT webhook_endpoints count")).await
}

pub(crate) async fn next_id(tx: &mut Tx) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(NEXT_ENDPOINT_ID).fetch_one(&mut *tx.statement("SELECT nextval")).await
}

pub(crate) async fn insert(tx: &mut Tx, endpoint: &NewEndpoint<'_>) -> Result<Endpoint, sqlx::Error> {
    sqlx::query_as(INSERT_ENDPOINT)
        .bind(endpoint.id)
        .bind(endpoint.owner_id)
        .bind(endpoint.url)
        .bind(endpoint.events)
        .bind(endpoint.secret_enc)
        .bind(endpoint.created_at)
        .fetch_one(&mut *tx.statement("INSERT webhook_endpoints"))
        .await
}

/// Up to `limit` endpoints, oldest first.
pub(crate) async fn all(tx: &mut Tx, limit: i64) -> Result<Vec<Endpoint>, sqlx::Error> {
    sqlx::query_as(ENDPOINTS).bind(limit).fetch_all(&mut *tx.statement("SELECT webhook_endpoints")).await
}

pub(crate) async fn endpoint(tx: &mut Tx, id: i64) -> Result<Option<Endpoint>, sqlx::Error> {
    sqlx::query_as(ENDPOINT)
        .bind(id)
        .fetch_optional(&mut *tx.statement("SELECT webhook_endpoints by id"))
        .await
}

/// The endpoint, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: i64) -> Result<Option<Endpoint>, sqlx::Error> {
    sqlx::query_as(LOCK_ENDPOINT)
        .bind(id)
        .fetch_optional(&mut *tx.statement("SELECT webhook_endpoints FOR UPDATE"))
        .await
}

/// Writes the settings of a locked endpoint; `disabled_reason` says why it is off, if it was not off before.
pub(crate) async fn update(
    tx: &mut Tx,
    endpoint: &Endpoint,
    disabled_reason: &str,
) -> Result<Endpoint, sqlx::Error> {
    sqlx::query_as(UPDATE_ENDPOINT)
        .bind(endpoint.id)
        .bind(&endpoint.url)
        .bind(&endpoint.events)
        .bind(endpoint.is_active)
        .bind(disabled_reason)
        .fetch_one(&mut *tx.statement("UPDATE webhook_endpoints"))
        .await
}

/// Removes a locked endpoint with its log.
pub(crate) async fn delete(tx: &mut Tx, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query(DELETE_ENDPOINT)
        .bind(id)
        .execute(&mut *tx.statement("DELETE webhook_endpoints"))
        .await
        .map(drop)
}

/// Gives a locked endpoint a new secret; the former one signs too until `previous_until`.
pub(crate) async fn rotate(
    tx: &mut Tx,
    id: i64,
    secret_enc: &[u8],
    previous_until: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(ROTATE_SECRET)
        .bind(id)
        .bind(secret_enc)
        .bind(previous_until)
        .execute(&mut *tx.statement("UPDATE webhook_endpoints secret"))
        .await
        .map(drop)
}

pub(crate) async fn addressee(tx: &mut Tx, id: i64) -> Result<Option<Addressee>, sqlx::Error> {
    sqlx::query_as(ADDRESSEE)
        .bind(id)
        .fetch_optional(&mut *tx.statement("SELECT webhook_endpoints addressee"))
        .await
}
