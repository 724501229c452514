//! What the provider told us: kept once, worked through later.

use rls::Tx;

use crate::payments::provider::ProviderEvent;

rls::statements! {
    /// Keeps an event, once.
    KEEP_EVENT =
        "INSERT INTO payment_events (provider, event_id, type, provider_ref, payload) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING";

    /// Events to be worked through, under a lease that is also the pause before the next try.
    TAKE_EVENTS =
        "UPDATE payment_events e SET attempts = e.attempts + 1, next_try_at = now() + interval '1 minute'
          WHERE (e.provider, e.event_id) IN (
                    SELECT d.provider, d.event_id FROM payment_events d
                     WHERE d.processed_at IS NULL AND d.next_try_at <= now()
                     ORDER BY d.next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED)
      RETURNING e.provider, e.event_id, e.type AS kind, e.provider_ref, e.payload, e.attempts";

    /// What became of an event.
    END_EVENT =
        "UPDATE payment_events SET processed_at = now(), outcome = $3
          WHERE provider = $1 AND event_id = $2 AND processed_at IS NULL";
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
    /// This one included.
    pub(crate) attempts: i32,
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
pub(crate) async fn take(tx: &mut Tx, limit: i64) -> Result<Vec<Kept>, sqlx::Error> {
    sqlx::query_as(TAKE_EVENTS).bind(limit).fetch_all(&mut *tx.statement("UPDATE payment_events due")).await
}

/// Ends an event's work.
pub(crate) async fn end(
    tx: &mut Tx,
    provider: &str,
    event_id: &str,
    outcome: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(END_EVENT)
        .bind(provider)
        .bind(event_id)
        .bind(outcome)
        .execute(&mut *tx.statement("UPDATE payment_events"))
        .await
        .map(drop)
}
