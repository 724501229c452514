//! Refunds: money promised back, each with a row and a key of its own.
//!
//! `payments.refunded_amount` counts what is promised, pending refunds included, so that its check holds against two at
//! once; `orders.refunded_amount` counts what has arrived.

use rls::Tx;
use uuid::Uuid;

rls::statements! {
    /// The payment of an order that money can go back to, locked: the one that paid the order, or first what was paid
    /// besides it and did not find its way back.
    LOCK_REFUNDABLE =
        "SELECT id, attempt, captured_amount, refunded_amount
           FROM payments
          WHERE order_id = $1 AND captured_amount > refunded_amount AND provider_ref IS NOT NULL
          ORDER BY (status = 'succeeded') <> $2 DESC, captured_amount - refunded_amount DESC LIMIT 1
            FOR UPDATE";

    /// Promises money back: the row, and the sum on its payment, which no sum of refunds may exceed.
    NEW_REFUND =
        "WITH promised AS (
             UPDATE payments SET refunded_amount = refunded_amount + $6, updated_at = now() WHERE id = $2
          RETURNING id, user_id)
         INSERT INTO refunds (id, payment_id, order_id, user_id, provider_key, amount, reason, status, requested_by, lines)
         SELECT $1, $2, $3, promised.user_id, $4, $6, $5, 'pending', $7, $8
           FROM promised";

    /// Units that money goes back for.
    COUNT_UNITS =
        "UPDATE order_items i SET refunded = i.refunded + u.quantity
           FROM unnest($2::int[], $3::int[]) AS u (line, quantity)
          WHERE i.order_id = $1 AND i.line = u.line AND i.refunded + u.quantity BETWEEN 0 AND i.quantity";

    /// Refunds that the provider has to be asked for, under a lease.
    TAKE_DUE_REFUNDS =
        "UPDATE refunds r
            SET checks = r.checks + 1,
                next_check_at = now() + CASE WHEN r.created_at > now() - interval '10 minutes' THEN interval '8 seconds'
                                             ELSE interval '1 minute' END
           FROM payments p
          WHERE p.id = r.payment_id
            AND r.id IN (SELECT d.id FROM refunds d JOIN payments o ON o.id = d.payment_id
                          WHERE d.status = 'pending' AND d.next_check_at <= now() AND o.provider = $2
                          ORDER BY d.next_check_at LIMIT $1 FOR UPDATE OF d SKIP LOCKED)
      RETURNING r.id, r.payment_id, r.order_id, r.provider_key, r.generation, r.provider_ref, r.amount, r.checks,
                p.provider_ref AS intent, r.created_at < now() - interval '23 hours' AS is_old,
                r.created_at < now() - interval '23 hours 5 minutes' AS is_over";

    /// Gives a key up for the next one, once: whoever finds the same key burned goes on with the same next one.
    NEXT_GENERATION = "UPDATE refunds SET generation = $2 + 1 WHERE id = $1 AND generation = $2";

    /// Asks for a refund later.
    PUT_REFUND_OFF =
        "UPDATE refunds SET next_check_at = now() + make_interval(secs => $2::double precision) WHERE id = $1";

    /// An order, a payment and a refund of it, locked in this order.
    LOCK_REFUND =
        "SELECT o.id AS order_id, o.user_id, o.status AS order_status, o.total_amount, o.refunded_amount AS order_refunded,
                p.id AS payment_id, p.status AS payment_status, r.id, r.provider_ref, r.amount,
                r.status, r.lines
           FROM orders o JOIN refunds r ON r.order_id = o.id JOIN payments p ON p.id = r.payment_id
          WHERE r.id = $1
            FOR UPDATE OF o, p, r";

    /// The refund has arrived.
    SUCCEED =
        "WITH done AS (
             UPDATE refunds SET status = 'succeeded', provider_ref = $2 WHERE id = $1 AND status = 'pending'
          RETURNING payment_id, order_id, amount),
         entered AS (
             INSERT INTO ledger (order_id, payment_id, kind, amount, ref)
             SELECT order_id, payment_id, 'refund', amount, $2 FROM done ON CONFLICT DO NOTHING)
         UPDATE payments p SET version = p.version + 1, updated_at = now() FROM done WHERE p.id = done.payment_id
      RETURNING p.version";

    /// The refund will not arrive: its promise is taken back.
    FAIL =
        "WITH done AS (
             UPDATE refunds SET status = 'failed', provider_ref = coalesce($2, provider_ref)
              WHERE id = $1 AND status = 'pending' RETURNING payment_id, amount)
         UPDATE payments p SET refunded_amount = p.refunded_amount - done.amount, updated_at = now()
           FROM done WHERE p.id = done.payment_id";

    /// Keeps how the provider calls a refund that is still pending.
    NAME_REFUND = "UPDATE refunds SET provider_ref = $2 WHERE id = $1 AND provider_ref IS NULL";

    /// What our books say of some refunds.
    REFUND_BOOKS = "SELECT id, status, provider_ref, amount FROM refunds WHERE id = ANY ($1)";

    /// What an order got back; its version is raised when nothing else raises it.
    ADD_REFUNDED =
        "UPDATE orders SET refunded_amount = least(total_amount, refunded_amount + $2),
                           version = version + CASE WHEN $3 THEN 1 ELSE 0 END, updated_at = now()
          WHERE id = $1 RETURNING version";

    /// The automatic refund of an attempt, promised at most once.
    NEW_AUTO_REFUND =
        "WITH row AS (
             INSERT INTO refunds (id, payment_id, order_id, user_id, provider_key, amount, reason, status)
             SELECT $1, p.id, p.order_id, p.user_id, $3, p.captured_amount, $4, 'pending' FROM payments p
              WHERE p.id = $2 AND p.captured_amount > p.refunded_amount
             ON CONFLICT DO NOTHING
          RETURNING payment_id, amount)
         UPDATE payments p SET refunded_amount = p.refunded_amount + row.amount FROM row WHERE p.id = row.payment_id";
}

/// A payment that money can go back to.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Refundable {
    pub(crate) id: Uuid,
    pub(crate) attempt: i32,
    pub(crate) captured_amount: i64,
    pub(crate) refunded_amount: i64,
}

/// A refund about to be promised.
#[derive(Debug)]
pub(crate) struct NewRefund<'a> {
    pub(crate) id: Uuid,
    pub(crate) payment_id: Uuid,
    pub(crate) order_id: i64,
    pub(crate) provider_key: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) amount: i64,
    pub(crate) requested_by: Option<i64>,
    /// Units counted as refunded with it: line and quantity.
    pub(crate) units: &'a [(i32, i32)],
}

/// A refund that the provider has to be asked for.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Due {
    pub(crate) id: Uuid,
    pub(crate) payment_id: Uuid,
    pub(crate) order_id: i64,
    pub(crate) provider_key: String,
    /// How many keys were given up.
    pub(crate) generation: i32,
    pub(crate) provider_ref: Option<String>,
    pub(crate) amount: i64,
    pub(crate) checks: i32,
    /// The provider's name of the payment.
    pub(crate) intent: Option<String>,
    /// So old that the provider forgets its keys: it is looked for, and asked for no more.
    pub(crate) is_old: bool,
    /// So old that nobody can have asked for it lately.
    pub(crate) is_over: bool,
}

/// A refund, its payment and its order, locked.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Locked {
    pub(crate) id: Uuid,
    pub(crate) order_id: i64,
    pub(crate) user_id: Option<i64>,
    pub(crate) order_status: String,
    pub(crate) total_amount: i64,
    pub(crate) order_refunded: i64,
    pub(crate) payment_id: Uuid,
    pub(crate) payment_status: String,
    pub(crate) provider_ref: Option<String>,
    pub(crate) amount: i64,
    pub(crate) status: String,
    /// Units counted with it.
    pub(crate) lines: sqlx::types::Json<Vec<(i32, i32)>>,
}

/// Which money goes back first, when an order was paid twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// What paid the order.
    Paid,
    /// What was paid besides.
    Stray,
}

/// What our books say of a refund.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Book {
    pub(crate) id: Uuid,
    pub(crate) status: String,
    pub(crate) provider_ref: Option<String>,
    pub(crate) amount: i64,
}

/// What our books say of the refunds with these ids.
pub(crate) async fn books(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Book>, sqlx::Error> {
    sqlx::query_as(REFUND_BOOKS).bind(ids).fetch_all(&mut *tx.statement("SELECT refund books")).await
}

/// The payment of a locked order that money can go back to.
pub(crate) async fn lock_refundable(
    tx: &mut Tx,
    order_id: i64,
    first: First,
) -> Result<Option<Refundable>, sqlx::Error> {
    sqlx::query_as(LOCK_REFUNDABLE)
        .bind(order_id)
        .bind(first == First::Stray)
        .fetch_optional(&mut *tx.statement("SELECT refundable payment"))
        .await
}

/// Promises money back.
pub(crate) async fn insert(tx: &mut Tx, new: &NewRefund<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(NEW_REFUND)
        .bind(new.id)
        .bind(new.payment_id)
        .bind(new.order_id)
        .bind(new.provider_key)
        .bind(new.reason)
        .bind(new.amount)
        .bind(new.requested_by)
        .bind(sqlx::types::Json(new.units))
        .execute(&mut *tx.statement("INSERT refunds"))
        .await
        .map(drop)
}

/// Promises all of a payment's money back, once; nothing when there is none left.
pub(crate) async fn insert_auto(
    tx: &mut Tx,
    id: Uuid,
    payment_id: Uuid,
    provider_key: &str,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(NEW_AUTO_REFUND)
        .bind(id)
        .bind(payment_id)
        .bind(provider_key)
        .bind(reason)
        .execute(&mut *tx.statement("INSERT refunds auto"))
        .await
        .map(drop)
}

/// Counts units as refunded, or no longer when the quantities are negative; answers how many lines there were.
pub(crate) async fn count_units(
    tx: &mut Tx,
    order_id: i64,
    units: &[(i32, i32)],
) -> Result<u64, sqlx::Error> {
    let (lines, quantities): (Vec<i32>, Vec<i32>) = units.iter().copied().unzip();
    let counted = sqlx::query(COUNT_UNITS)
        .bind(order_id)
        .bind(lines)
        .bind(quantities)
        .execute(&mut *tx.statement("UPDATE order_items refunded"))
        .await?;
    Ok(counted.rows_affected())
}

/// Takes up to `limit` refunds that are due.
pub(crate) async fn take_due(tx: &mut Tx, limit: i64, provider: &str) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as(TAKE_DUE_REFUNDS)
        .bind(limit)
        .bind(provider)
        .fetch_all(&mut *tx.statement("UPDATE refunds due"))
        .await
}

/// Gives up the key of a generation; a repeat changes nothing.
pub(crate) async fn next_generation(tx: &mut Tx, id: Uuid, generation: i32) -> Result<(), sqlx::Error> {
    sqlx::query(NEXT_GENERATION)
        .bind(id)
        .bind(generation)
        .execute(&mut *tx.statement("UPDATE refunds generation"))
        .await
        .map(drop)
}

/// Asks for a refund so much later.
pub(crate) async fn put_off(tx: &mut Tx, id: Uuid, by: time::Duration) -> Result<(), sqlx::Error> {
    sqlx::query(PUT_REFUND_OFF)
        .bind(id)
        .bind(by.as_seconds_f64())
        .execute(&mut *tx.statement("UPDATE refunds put off"))
        .await
        .map(drop)
}

/// Locks a refund's order, its payment, and the refund.
pub(crate) async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Locked>, sqlx::Error> {
    sqlx::query_as(LOCK_REFUND).bind(id).fetch_optional(&mut *tx.statement("SELECT refund FOR UPDATE")).await
}

/// A locked refund has arrived; answers its payment's version.
pub(crate) async fn succeed(tx: &mut Tx, id: Uuid, reference: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(SUCCEED)
        .bind(id)
        .bind(reference)
        .fetch_one(&mut *tx.statement("UPDATE refunds succeeded"))
        .await
}

/// A locked refund will not arrive.
pub(crate) async fn fail(tx: &mut Tx, id: Uuid, reference: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query(FAIL)
        .bind(id)
        .bind(reference)
        .execute(&mut *tx.statement("UPDATE refunds failed"))
        .await
        .map(drop)
}

/// Keeps how the provider calls a refund.
pub(crate) async fn name(tx: &mut Tx, id: Uuid, reference: &str) -> Result<(), sqlx::Error> {
    sqlx::query(NAME_REFUND)
        .bind(id)
        .bind(reference)
        .execute(&mut *tx.statement("UPDATE refunds named"))
        .await
        .map(drop)
}

/// Whether an order's version is raised by what it got back, or by the step that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raise {
    Version,
    Nothing,
}

/// Adds to what a locked order got back; answers its version.
pub(crate) async fn add_refunded(
    tx: &mut Tx,
    order_id: i64,
    amount: i64,
    raise: Raise,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(ADD_REFUNDED)
        .bind(order_id)
        .bind(amount)
        .bind(raise == Raise::Version)
        .fetch_one(&mut *tx.statement("UPDATE orders refunded"))
        .await
}
