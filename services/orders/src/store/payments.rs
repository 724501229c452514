//! Attempts to pay: written before the provider is asked, moved on by what it says.
//!
//! Who changes an attempt holds its order's row. The statements are the service's own, but the buyer's reading.

pub(crate) mod issues;
pub(crate) mod provider_events;
pub(crate) mod stock;

use rls::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::payment::{Failure, Method, Status};
use crate::store::orders::AttemptRow;

/// An order to be paid, and how its goods stand: `stock_gone` when some of them are neither held nor taken for it.
macro_rules! order {
    () => {
        "o.id AS order_id, o.user_id, o.status AS order_status, o.version AS order_version, o.currency AS order_currency,
         o.total_amount,
         EXISTS (SELECT FROM order_items i
                  WHERE i.order_id = o.id AND i.cancelled < i.quantity
                    AND NOT EXISTS (SELECT FROM reservations r
                                     WHERE r.order_id = o.id AND r.variant_id = i.variant_id
                                       AND r.state <> 'released' AND r.quantity > 0)) AS stock_gone"
    };
}

rls::statements! {
    /// An order about to be paid, and what was tried before.
    LOCK_PAYABLE = concat!(
        "SELECT ", order!(), ",
                (SELECT coalesce(max(p.attempt), 0) FROM payments p WHERE p.order_id = o.id) AS attempts,
                (SELECT p.id FROM payments p WHERE p.order_id = o.id ORDER BY p.attempt DESC LIMIT 1) AS latest,
                EXISTS (SELECT FROM payments p
                         WHERE p.order_id = o.id AND p.status IN ('created', 'processing', 'requires_action',
                                                                  'requires_capture', 'succeeded', 'unknown')) AS in_flight
           FROM orders o WHERE o.id = $1 FOR UPDATE");

    /// A new attempt, unless there is one already; the goods are kept so much longer.
    NEW_ATTEMPT =
        "WITH made AS (
             INSERT INTO payments (id, order_id, user_id, attempt, provider, provider_key, method, status, amount, currency,
                                   request, next_check_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'created', $8, $9, $10, now() + make_interval(secs => 5))
             ON CONFLICT DO NOTHING
             RETURNING created_at),
         kept AS (
             UPDATE reservations r
                SET expires_at = greatest(r.expires_at, now() + make_interval(secs => $11::double precision))
              WHERE r.order_id = $2 AND r.state = 'held' AND EXISTS (SELECT FROM made))
         SELECT created_at FROM made";

    /// An order, then its payment, both locked and both as they are after the wait.
    LOCK_SUBJECT = concat!(
        "SELECT ", order!(), ",
                p.id, p.attempt, p.provider_ref, p.method, p.status, p.amount, p.currency, p.captured_amount,
                p.refunded_amount, p.failure_code, p.retryable, p.next_action, p.version, p.created_at
           FROM orders o JOIN payments p ON p.order_id = o.id
          WHERE p.id = $1
            FOR UPDATE OF o, p");

    /// Moves a locked payment on, with what that means in money.
    ADVANCE =
        "WITH moved AS (
             UPDATE payments p
                SET status = $2, status_rank = $3, provider_ref = coalesce(p.provider_ref, $4), captured_amount = $5,
                    failure_code = $6, retryable = $7, next_action = $8, version = p.version + 1, updated_at = now(),
                    request = CASE WHEN $3::smallint < 9 AND coalesce(p.provider_ref, $4) IS NULL THEN p.request END,
                    next_check_at = now() + make_interval(secs => $9::double precision), checks = 0
              WHERE p.id = $1
          RETURNING p.id, p.order_id, p.version),
         entered AS (
             INSERT INTO ledger (order_id, payment_id, kind, amount, ref)
             SELECT moved.order_id, moved.id, l.kind, l.amount, l.ref
               FROM moved, unnest($10::text[], $11::bigint[], $12::text[]) AS l(kind, amount, ref)
             ON CONFLICT DO NOTHING)
         SELECT version FROM moved";

    /// Keeps the goods of an order that waits for its buyer.
    KEEP_GOODS = "UPDATE reservations SET expires_at = greatest(expires_at, $2) WHERE order_id = $1 AND state = 'held'";

    /// Whether an order has another attempt that may take money, or has.
    ANOTHER_LIVE =
        "SELECT EXISTS (SELECT FROM payments
                         WHERE order_id = $1 AND id <> $2
                           AND status IN ('created', 'processing', 'requires_action', 'requires_capture', 'succeeded',
                                          'unknown'))";

    /// Money that came to an attempt which cannot have it, because another one has.
    NOTE_CAPTURE =
        "WITH noted AS (
             UPDATE payments SET captured_amount = $2, version = version + 1, updated_at = now()
              WHERE id = $1 RETURNING id, order_id, version, provider_ref),
         entered AS (
             INSERT INTO ledger (order_id, payment_id, kind, amount, ref)
             SELECT order_id, id, 'capture', $2, $3 FROM noted ON CONFLICT DO NOTHING)
         SELECT version FROM noted";

    /// Attempts whose state should be asked for, under a lease: nobody else asks before it is over. Who waits for a
    /// buyer is asked for less often, and so are those that are old.
    TAKE_DUE =
        "UPDATE payments p
            SET checks = p.checks + 1,
                next_check_at = now() + CASE WHEN p.status = 'requires_action' THEN interval '30 seconds'
                                             WHEN p.created_at > now() - interval '10 minutes' THEN interval '8 seconds'
                                             ELSE interval '1 minute' END
          WHERE p.id IN (SELECT d.id FROM payments d
                          WHERE d.status IN ('created', 'processing', 'requires_action', 'requires_capture', 'unknown')
                            AND d.next_check_at <= now() AND d.provider = $2
                          ORDER BY d.next_check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
      RETURNING p.id, p.order_id, p.attempt, p.provider_key, p.provider_ref, p.status, p.amount, p.currency, p.request,
                p.checks, p.created_at, p.created_at < now() - interval '23 hours' AS is_old,
                p.created_at < now() - interval '23 hours 5 minutes' AS is_over,
                p.created_at < now() - interval '20 seconds' AS is_settled_late,
                EXISTS (SELECT FROM reservations r
                         WHERE r.order_id = p.order_id AND r.state = 'held' AND r.expires_at > now()) AS goods_kept";

    /// The same of one attempt, whoever has the lease: an event tells of it.
    TAKE_ONE =
        "SELECT p.id, p.order_id, p.attempt, p.provider_key, p.provider_ref, p.status, p.amount, p.currency, p.request,
                p.checks, p.created_at, p.created_at < now() - interval '23 hours' AS is_old,
                p.created_at < now() - interval '23 hours 5 minutes' AS is_over,
                p.created_at < now() - interval '20 seconds' AS is_settled_late,
                EXISTS (SELECT FROM reservations r
                         WHERE r.order_id = p.order_id AND r.state = 'held' AND r.expires_at > now()) AS goods_kept
           FROM payments p WHERE p.id = $1";

    /// Asks for an attempt's state at another time.
    PUT_OFF = "UPDATE payments SET next_check_at = now() + make_interval(secs => $2::double precision) WHERE id = $1";

    /// The attempt that is live, if there is one.
    LIVE_OF_ORDER =
        "SELECT id FROM payments
          WHERE order_id = $1 AND status IN ('created', 'processing', 'requires_action', 'requires_capture', 'unknown')";

    /// An attempt, if the caller may see it.
    GET_PAYMENT =
        "SELECT id, order_id, attempt, method, status, amount, currency, captured_amount, refunded_amount,
                failure_code, retryable, next_action, created_at
           FROM payments WHERE id = $1";

    /// What our books say of some intents.
    BOOKS =
        "SELECT p.id, p.provider_ref, p.status, p.updated_at > now() - interval '2 minutes' AS is_fresh,
                coalesce((SELECT sum(l.amount) FROM ledger l WHERE l.payment_id = p.id AND l.kind = 'capture'), 0)::bigint
                    AS captured,
                coalesce((SELECT sum(l.amount) FROM ledger l WHERE l.payment_id = p.id AND l.kind = 'refund'), 0)::bigint
                    AS refunded,
                EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status = 'pending') AS refunding
           FROM payments p WHERE p.provider = $1 AND (p.provider_ref = ANY ($2) OR p.id = ANY ($3))";

    /// Money that our books hold and that was taken within a span of time.
    CAPTURED_WITHIN =
        "SELECT p.provider_ref FROM ledger l JOIN payments p ON p.id = l.payment_id
          WHERE l.kind = 'capture' AND p.provider = $1 AND p.provider_ref IS NOT NULL
            AND p.created_at >= $2 AND l.at < now() - interval '2 minutes'";
}

/// An order whose row is locked.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Order {
    #[sqlx(rename = "order_id")]
    pub(crate) id: i64,
    pub(crate) user_id: Option<i64>,
    #[sqlx(rename = "order_status")]
    pub(crate) status: String,
    #[sqlx(rename = "order_version")]
    pub(crate) version: i64,
    #[sqlx(rename = "order_currency")]
    pub(crate) currency: String,
    pub(crate) total_amount: i64,
    /// Some of its goods are neither held nor taken for it.
    pub(crate) stock_gone: bool,
}

/// An order about to be paid.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Payable {
    #[sqlx(flatten)]
    pub(crate) order: Order,
    /// Attempts so far.
    pub(crate) attempts: i32,
    pub(crate) latest: Option<Uuid>,
    pub(crate) in_flight: bool,
}

/// A payment, and its order, both locked.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Subject {
    #[sqlx(flatten)]
    pub(crate) order: Order,
    #[sqlx(flatten)]
    pub(crate) payment: Payment,
}

/// A payment as its row has it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Payment {
    pub(crate) id: Uuid,
    pub(crate) attempt: i32,
    pub(crate) provider_ref: Option<String>,
    pub(crate) method: String,
    #[sqlx(try_from = "String")]
    pub(crate) status: Status,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) captured_amount: i64,
    pub(crate) refunded_amount: i64,
    pub(crate) failure_code: Option<String>,
    pub(crate) retryable: bool,
    pub(crate) next_action: Option<serde_json::Value>,
    pub(crate) version: i64,
    pub(crate) created_at: OffsetDateTime,
}

/// A new attempt.
pub(crate) struct NewAttempt {
    pub(crate) id: Uuid,
    pub(crate) order_id: i64,
    pub(crate) user_id: Option<i64>,
    pub(crate) attempt: i32,
    pub(crate) provider: &'static str,
    pub(crate) provider_key: String,
    pub(crate) method: Method,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// What is asked of the provider, byte for byte.
    pub(crate) request: Vec<u8>,
    pub(crate) keep_goods: time::Duration,
}

/// What becomes of a payment.
#[derive(Debug)]
pub(crate) struct Advance<'a> {
    pub(crate) status: Status,
    pub(crate) provider_ref: Option<&'a str>,
    pub(crate) captured_amount: i64,
    pub(crate) failure: Option<&'a Failure>,
    pub(crate) next_action: Option<serde_json::Value>,
    /// When its state is asked for, if nothing is heard before.
    pub(crate) check_after: time::Duration,
    pub(crate) entries: Vec<Entry<'a>>,
}

/// A line of the ledger.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// `authorize`, `capture` or `void`.
    pub(crate) kind: &'static str,
    pub(crate) amount: i64,
    pub(crate) reference: &'a str,
}

/// An attempt whose state is to be asked for.
#[derive(sqlx::FromRow)]
pub(crate) struct Due {
    pub(crate) id: Uuid,
    pub(crate) order_id: i64,
    pub(crate) attempt: i32,
    pub(crate) provider_key: String,
    pub(crate) provider_ref: Option<String>,
    #[sqlx(try_from = "String")]
    pub(crate) status: Status,
    pub(crate) request: Option<Vec<u8>>,
    pub(crate) checks: i32,
    pub(crate) created_at: OffsetDateTime,
    /// So old that the provider forgets its key: it is looked for, and asked for no more.
    pub(crate) is_old: bool,
    /// So old that nobody can have asked for it lately.
    pub(crate) is_over: bool,
    /// No request of its beginning can still be under way.
    pub(crate) is_settled_late: bool,
    pub(crate) goods_kept: bool,
}

/// The request names a card's token.
impl std::fmt::Debug for NewAttempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAttempt")
            .field("id", &self.id)
            .field("provider_key", &self.provider_key)
            .finish_non_exhaustive()
    }
}

/// As above.
impl std::fmt::Debug for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Due")
            .field("id", &self.id)
            .field("provider_key", &self.provider_key)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What our books say of a payment.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Books {
    pub(crate) id: Uuid,
    pub(crate) provider_ref: Option<String>,
    #[sqlx(try_from = "String")]
    pub(crate) status: Status,
    /// It changed so lately that both sides may not agree yet.
    pub(crate) is_fresh: bool,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    pub(crate) refunding: bool,
}

impl From<String> for Status {
    fn from(name: String) -> Self {
        Self::named(&name).expect("a check keeps statuses to those of the table")
    }
}

/// Locks an order about to be paid.
pub(crate) async fn lock_payable(tx: &mut Tx, order_id: i64) -> Result<Option<Payable>, sqlx::Error> {
    sqlx::query_as(LOCK_PAYABLE)
        .bind(order_id)
        .fetch_optional(&mut *tx.statement("SELECT order FOR UPDATE to pay"))
        .await
}

/// Writes a new attempt; answers when, or `None` when there is one already.
pub(crate) async fn insert(tx: &mut Tx, new: &NewAttempt) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar(NEW_ATTEMPT)
        .bind(new.id)
        .bind(new.order_id)
        .bind(new.user_id)
        .bind(new.attempt)
        .bind(new.provider)
        .bind(&new.provider_key)
        .bind(new.method.as_str())
        .bind(new.amount)
        .bind(&new.currency)
        .bind(&new.request)
        .bind(new.keep_goods.as_seconds_f64())
        .fetch_optional(&mut *tx.statement("INSERT payments"))
        .await
}

/// Locks a payment's order, then the payment.
pub(crate) async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Subject>, sqlx::Error> {
    sqlx::query_as(LOCK_SUBJECT)
        .bind(id)
        .fetch_optional(&mut *tx.statement("SELECT payment FOR UPDATE"))
        .await
}

/// Moves a locked payment on; answers its version.
pub(crate) async fn advance(tx: &mut Tx, id: Uuid, to: &Advance<'_>) -> Result<i64, sqlx::Error> {
    let entries = &to.entries;
    sqlx::query_scalar(ADVANCE)
        .bind(id)
        .bind(to.status.as_str())
        .bind(to.status.rank())
        .bind(to.provider_ref)
        .bind(to.captured_amount)
        .bind(to.failure.map(|failure| &failure.code))
        .bind(to.failure.is_some_and(|failure| failure.retryable))
        .bind(&to.next_action)
        .bind(to.check_after.as_seconds_f64())
        .bind(entries.iter().map(|entry| entry.kind).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.amount).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.reference).collect::<Vec<_>>())
        .fetch_one(&mut *tx.statement("UPDATE payments"))
        .await
}

/// Keeps an order's goods until then, at least.
pub(crate) async fn keep_goods(tx: &mut Tx, order_id: i64, until: OffsetDateTime) -> Result<(), sqlx::Error> {
    sqlx::query(KEEP_GOODS)
        .bind(order_id)
        .bind(until)
        .execute(&mut *tx.statement("UPDATE reservations"))
        .await
        .map(drop)
}

/// Whether the order has a live or successful attempt besides this one.
pub(crate) async fn has_another(tx: &mut Tx, order_id: i64, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(ANOTHER_LIVE)
        .bind(order_id)
        .bind(id)
        .fetch_one(&mut *tx.statement("SELECT another payment"))
        .await
}

/// Notes money that a given-up attempt took; answers the payment's version.
pub(crate) async fn note_capture(
    tx: &mut Tx,
    id: Uuid,
    amount: i64,
    reference: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(NOTE_CAPTURE)
        .bind(id)
        .bind(amount)
        .bind(reference)
        .fetch_one(&mut *tx.statement("UPDATE payments captured"))
        .await
}

/// Takes up to `limit` attempts whose state is due to be asked for.
pub(crate) async fn take_due(tx: &mut Tx, limit: i64, provider: &str) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as(TAKE_DUE)
        .bind(limit)
        .bind(provider)
        .fetch_all(&mut *tx.statement("UPDATE payments due"))
        .await
}

/// One attempt, as those that are due.
pub(crate) async fn take_one(tx: &mut Tx, id: Uuid) -> Result<Option<Due>, sqlx::Error> {
    sqlx::query_as(TAKE_ONE).bind(id).fetch_optional(&mut *tx.statement("SELECT payment to ask for")).await
}

/// Asks for an attempt's state so much later.
pub(crate) async fn put_off(tx: &mut Tx, id: Uuid, by: time::Duration) -> Result<(), sqlx::Error> {
    sqlx::query(PUT_OFF)
        .bind(id)
        .bind(by.as_seconds_f64())
        .execute(&mut *tx.statement("UPDATE payments put off"))
        .await
        .map(drop)
}

/// The order's live attempt.
pub(crate) async fn live(tx: &mut Tx, order_id: i64) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(LIVE_OF_ORDER)
        .bind(order_id)
        .fetch_optional(&mut *tx.statement("SELECT live payment"))
        .await
}

/// One attempt, if the caller may see it.
pub(crate) async fn payment(tx: &mut Tx, id: Uuid) -> Result<Option<AttemptRow>, sqlx::Error> {
    sqlx::query_as(GET_PAYMENT).bind(id).fetch_optional(&mut *tx.statement("SELECT payment")).await
}

/// What our books say of the intents with these references or payments with these ids.
pub(crate) async fn books(
    tx: &mut Tx,
    provider: &str,
    references: &[String],
    ids: &[Uuid],
) -> Result<Vec<Books>, sqlx::Error> {
    sqlx::query_as(BOOKS)
        .bind(provider)
        .bind(references)
        .bind(ids)
        .fetch_all(&mut *tx.statement("SELECT books"))
        .await
}

/// References of what our books say was captured of payments made since then.
pub(crate) async fn captured_since(
    tx: &mut Tx,
    provider: &str,
    since: OffsetDateTime,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(CAPTURED_WITHIN)
        .bind(provider)
        .bind(since)
        .fetch_all(&mut *tx.statement("SELECT captured"))
        .await
}
