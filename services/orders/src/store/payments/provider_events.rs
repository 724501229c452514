//! What the provider told us: kept once, worked through later.

use rls::Tx;
use uuid::Uuid;

use crate::payments::provider::ProviderEvent;

rls::statements! {
    /// Keeps an event, once.
    KEEP_EVENT =
        "INSERT INTO payment_events (provider, event_id, type, provider_ref, payload) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING";

    /// Events to be worked through, under a lease, and what is known of the payment that each is about: the one with its
    /// intent, or the one that the intent names. A lease that ends before the work does has it done twice, which changes
    /// nothing; one that is long keeps the events of a killed process waiting.
    TAKE_EVENTS =
        "WITH taken AS (
             UPDATE payment_events e SET attempts = e.attempts + 1, next_try_at = now() + interval '20 seconds'
              WHERE (e.provider, e.event_id) IN (
                        SELECT d.provider, d.event_id FROM payment_events d
                         WHERE d.processed_at IS NULL AND d.next_try_at <= now() AND d.provider = $2
                         ORDER BY d.next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED)
          RETURNING e.provider, e.event_id, e.type, e.provider_ref, e.payload, e.attempts, e.failures,
                    e.received_at)
         SELECT t.provider, t.event_id, t.type AS kind, t.provider_ref, t.payload, t.attempts,
                t.failures, t.received_at < now() - interval '1 day' AS is_old,
                p.id AS payment_id, p.order_id, p.amount, p.currency, p.status, p.provider_ref AS known_ref, p.checks,
                p.created_at > now() - interval '3 seconds' AS is_under_way
           FROM taken t
           LEFT JOIN LATERAL (
                SELECT * FROM (
                    SELECT x.*, 1 AS choice FROM payments x
                     WHERE x.provider = t.provider AND x.provider_ref = t.provider_ref
                    UNION ALL
                    SELECT x.*, 2 FROM payments x
                     WHERE x.provider = t.provider AND x.id = (t.payload ->> 'payment_id')::uuid) known
                 ORDER BY known.choice LIMIT 1) p ON true";

    /// What became of some events.
    END_EVENTS =
        "UPDATE payment_events e SET processed_at = now(), outcome = o.outcome
           FROM unnest($1::text[], $2::text[], $3::text[]) AS o (provider, event_id, outcome)
          WHERE e.provider = o.provider AND e.event_id = o.event_id AND e.processed_at IS NULL";

    /// Looks at some events a little later; this was no try.
    WAIT_WITH_EVENTS =
        "UPDATE payment_events e SET attempts = e.attempts - 1, next_try_at = now() + interval '3 seconds'
           FROM unnest($1::text[], $2::text[]) AS o (provider, event_id)
          WHERE e.provider = o.provider AND e.event_id = o.event_id AND e.processed_at IS NULL";

    /// Tries some events again in a minute (S170).
    RETRY_EVENTS =
        "UPDATE payment_events e SET attempts = e.attempts - 1, failures = e.failures + 1,
                                     next_try_at = now() + interval '1 minute'
           FROM unnest($1::text[], $2::text[]) AS o (provider, event_id)
          WHERE e.provider = o.provider AND e.event_id = o.event_id AND e.processed_at IS NULL";

    /// The same of events that could not even be tried, because the provider or the database was away.
    WAIT_FOR_PROVIDER =
        "UPDATE payment_events e SET attempts = e.attempts - 1, next_try_at = now() + interval '1 minute'
           FROM unnest($1::text[], $2::text[]) AS o (provider, event_id)
          WHERE e.provider = o.provider AND e.event_id = o.event_id AND e.processed_at IS NULL";
}

/// An event that is being worked through.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Kept {
    pub(crate) provider: String,
    pub(crate) event_id: String,
    pub(crate) kind: String,
    /// The intent that it is about.
    pub(crate) provider_ref: Option<String>,
    pub(crate) payload: serde_json::Value,
    /// Times that it was taken and never came back, this one included: it may be what ends processes.
    pub(crate) attempts: i32,
    /// Times that it could not be worked through.
    pub(crate) failures: i32,
    /// Nobody waits for it any longer.
    pub(crate) is_old: bool,
    /// The payment that it is about; what follows is of that, and there when this is.
    pub(crate) payment_id: Option<Uuid>,
    pub(crate) order_id: Option<i64>,
    pub(crate) amount: Option<i64>,
    pub(crate) currency: Option<String>,
    pub(crate) status: Option<String>,
    /// The intent that it has.
    pub(crate) known_ref: Option<String>,
    pub(crate) checks: Option<i32>,
    /// It is so young that its request may still be at it.
    pub(crate) is_under_way: Option<bool>,
}

/// Keeps an event; `false` when it is kept already.
pub(crate) async fn keep(tx: &mut Tx, provider: &str, event: &ProviderEvent) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query(KEEP_EVENT)
        .bind(provider)
        .bind(&event.id)
        .bind(&event.kind)
        .bind(&event.intent)
        .bind(&event.excerpt)
        .execute(&mut *tx.statement("INSERT payment_events"))
        .await?;
    Ok(kept.rows_affected() == 1)
}

/// Takes up to `limit` events that are due.
pub(crate) async fn take(tx: &mut Tx, limit: i64, provider: &str) -> Result<Vec<Kept>, sqlx::Error> {
    sqlx::query_as(TAKE_EVENTS)
        .bind(limit)
        .bind(provider)
        .fetch_all(&mut *tx.statement("UPDATE payment_events due"))
        .await
}

/// Ends the work of some events: each with what became of it.
pub(crate) async fn end(tx: &mut Tx, events: &[(Kept, &'static str)]) -> Result<(), sqlx::Error> {
    sqlx::query(END_EVENTS)
        .bind(events.iter().map(|(event, _)| event.provider.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|(event, _)| event.event_id.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, outcome)| *outcome).collect::<Vec<_>>())
        .execute(&mut *tx.statement("UPDATE payment_events"))
        .await
        .map(drop)
}

/// Looks at some events a little later; this was no try.
pub(crate) async fn wait_with(tx: &mut Tx, events: &[Kept]) -> Result<(), sqlx::Error> {
    put_off(tx, events, WAIT_WITH_EVENTS, "UPDATE payment_events later").await
}

/// Tries some events again in a minute.
pub(crate) async fn retry(tx: &mut Tx, events: &[Kept]) -> Result<(), sqlx::Error> {
    put_off(tx, events, RETRY_EVENTS, "UPDATE payment_events retry").await
}

/// Tries some events again in a minute, which were not tried now.
pub(crate) async fn wait_for_provider(tx: &mut Tx, events: &[Kept]) -> Result<(), sqlx::Error> {
    put_off(tx, events, WAIT_FOR_PROVIDER, "UPDATE payment_events wait").await
}

async fn put_off(
    tx: &mut Tx,
    events: &[Kept],
    statement: &'static str,
    name: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(statement)
        .bind(events.iter().map(|event| event.provider.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>())
        .execute(&mut *tx.statement(name))
        .await
        .map(drop)
}
