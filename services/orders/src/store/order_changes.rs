//! What is done to orders. Run as the service, each order under its own lock.

use rls::Tx;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::OrderId;
use crate::domain::order::{Mover, Status, Units};

rls::statements! {
    /// An order, locked against every other change of it.
    LOCK_ORDER =
        "SELECT id, user_id, cart_token_sha256, coupon_code::text AS coupon_code, status, total_amount, refunded_amount, version
           FROM orders WHERE id = $1 FOR UPDATE";

    /// The next step of a locked order, written into its history. Refused when there is no such step.
    MOVE_ORDER = "SELECT from_status, version FROM move($1, $2, $3, $4)";

    /// Something of a locked order other than its status has changed.
    TOUCH_ORDER = "UPDATE orders SET version = version + 1, updated_at = now() WHERE id = $1 RETURNING version";

    /// Units that will not be sent.
    CANCEL_UNITS =
        "UPDATE order_items i SET cancelled = i.cancelled + u.quantity
           FROM unnest($2::int[], $3::int[]) AS u (line, quantity)
          WHERE i.order_id = $1 AND i.line = u.line";

    /// Units that were sent off.
    FULFIL_UNITS =
        "UPDATE order_items i SET fulfilled = i.fulfilled + u.quantity
           FROM unnest($2::int[], $3::int[]) AS u (line, quantity)
          WHERE i.order_id = $1 AND i.line = u.line";

    /// Units that a buyer wants to send back.
    INSERT_RETURNS =
        "INSERT INTO returns (order_id, user_id, line, quantity, reason)
         SELECT $1, $2, u.line, u.quantity, u.reason FROM unnest($3::int[], $4::int[], $5::text[]) AS u (line, quantity, reason)";

    /// What a buyer wants to send back is counted as returned; answers which goods those are.
    TAKE_RETURNS =
        "UPDATE order_items i SET returned = i.returned + r.quantity
           FROM returns r
          WHERE i.order_id = $1 AND r.order_id = i.order_id AND r.line = i.line
         RETURNING i.line, i.variant_id, r.quantity";

    /// A return that staff turned down.
    DELETE_RETURNS = "DELETE FROM returns WHERE order_id = $1";

    /// A shipment on its way.
    INSERT_SHIPMENT =
        "INSERT INTO shipments (order_id, user_id, carrier, service, tracking_code, lines, status, shipped_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'shipped', $7)
         RETURNING id";

    /// Every shipment of an order has arrived.
    DELIVER_SHIPMENTS =
        "UPDATE shipments SET status = 'delivered', delivered_at = $2, version = version + 1
          WHERE order_id = $1 AND status IN ('ready', 'shipped')
         RETURNING id, carrier, tracking_code, version";

    /// What staff tell each other.
    INSERT_NOTE = "INSERT INTO order_notes (order_id, author_id, body) VALUES ($1, $2, $3) RETURNING id";

    /// What staff told each other, at most the last hundred.
    NOTES_OF_ORDER =
        "SELECT id, author_id, body, at FROM (
             SELECT id, author_id, body, at FROM order_notes WHERE order_id = $1 ORDER BY id DESC LIMIT 100) n
          ORDER BY id";

    /// Whether money for an order is still on its way.
    HAS_LIVE_PAYMENT =
        "SELECT EXISTS (SELECT FROM payments WHERE order_id = $1 AND status IN
                        ('created', 'processing', 'requires_action', 'requires_capture', 'succeeded', 'unknown'))";

    /// An order's goods, put into a locked cart as far as they fit: lines that are there are added to. A cart without a
    /// coupon gets the order's, unless that is over.
    REFILL_CART =
        "WITH coupon AS (
             UPDATE carts c SET coupon_code = k.code FROM coupons k
              WHERE c.id = $1 AND c.coupon_code IS NULL AND k.code = $7::text::citext AND k.is_active
                AND (k.ends_at IS NULL OR k.ends_at > now()))
         INSERT INTO cart_items AS mine (cart_id, variant_id, product_id, quantity, seen_unit_amount)
         SELECT $1, l.variant_id, l.product_id, l.quantity, l.unit_amount
           FROM (SELECT u.*, there.id IS NOT NULL AS known,
                        count(*) FILTER (WHERE there.id IS NULL) OVER (ORDER BY u.place) AS nth
                   FROM unnest($2::bigint[], $3::bigint[], $4::int[], $5::bigint[])
                        WITH ORDINALITY AS u (variant_id, product_id, quantity, unit_amount, place)
                   LEFT JOIN cart_items there ON there.cart_id = $1 AND there.variant_id = u.variant_id) l
          WHERE l.known OR l.nth + (SELECT count(*) FROM cart_items held WHERE held.cart_id = $1) <= $6
          ORDER BY l.place
         ON CONFLICT (cart_id, variant_id)
         DO UPDATE SET quantity = least(99, mine.quantity + EXCLUDED.quantity),
                       seen_unit_amount = EXCLUDED.seen_unit_amount";
}

/// An order under lock.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct LockedOrder {
    pub(crate) id: i64,
    pub(crate) user_id: Option<i64>,
    /// Of a guest's order.
    pub(crate) cart_token_sha256: Option<Vec<u8>>,
    pub(crate) coupon_code: Option<String>,
    pub(crate) status: String,
    pub(crate) total_amount: i64,
    pub(crate) refunded_amount: i64,
    pub(crate) version: i64,
}

impl LockedOrder {
    pub(crate) fn status(&self) -> Status {
        Status::stored(&self.status)
    }
}

/// Goods that come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct ReturnedUnits {
    pub(crate) line: i32,
    pub(crate) variant_id: i64,
    pub(crate) quantity: i32,
}

/// A shipment that arrived.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct DeliveredShipment {
    pub(crate) id: i64,
    pub(crate) carrier: String,
    pub(crate) tracking_code: Option<String>,
    pub(crate) version: i64,
}

/// A shipment to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewShipment {
    pub(crate) carrier: String,
    pub(crate) service: String,
    pub(crate) tracking_code: Option<String>,
    pub(crate) lines: Vec<ShippedUnits>,
}

/// Units that one shipment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ShippedUnits {
    pub(crate) line: i32,
    pub(crate) quantity: i32,
}

/// What staff wrote down.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct NoteRow {
    pub(crate) id: i64,
    pub(crate) author_id: i64,
    pub(crate) body: String,
    pub(crate) at: OffsetDateTime,
}

/// Locks the order.
pub(crate) async fn lock(tx: &mut Tx, id: OrderId) -> Result<Option<LockedOrder>, sqlx::Error> {
    sqlx::query_as(LOCK_ORDER)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT order FOR UPDATE"))
        .await
}

/// Moves a locked order; answers its version.
pub(crate) async fn move_to(
    tx: &mut Tx,
    id: OrderId,
    to: Status,
    mover: Mover,
    reason: Option<&str>,
) -> Result<i64, sqlx::Error> {
    let (_from, version): (String, i64) = sqlx::query_as(MOVE_ORDER)
        .bind(id.get())
        .bind(to.as_str())
        .bind(mover.as_str())
        .bind(reason)
        .fetch_one(&mut *tx.statement("SELECT move"))
        .await?;
    Ok(version)
}

/// Counts a locked order's version up; answers it.
pub(crate) async fn touch(tx: &mut Tx, id: OrderId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(TOUCH_ORDER)
        .bind(id.get())
        .fetch_one(&mut *tx.statement("UPDATE orders version"))
        .await
}

/// Cancels units of a locked order: line and quantity.
pub(crate) async fn cancel_units(tx: &mut Tx, id: OrderId, units: &[(i32, i32)]) -> Result<(), sqlx::Error> {
    let (lines, quantities): (Vec<i32>, Vec<i32>) = units.iter().copied().unzip();
    sqlx::query(CANCEL_UNITS)
        .bind(id.get())
        .bind(lines)
        .bind(quantities)
        .execute(&mut *tx.statement("UPDATE order_items cancelled"))
        .await
        .map(drop)
}

/// Counts units of a locked order as sent off.
pub(crate) async fn fulfil_units(
    tx: &mut Tx,
    id: OrderId,
    units: &[ShippedUnits],
) -> Result<(), sqlx::Error> {
    sqlx::query(FULFIL_UNITS)
        .bind(id.get())
        .bind(units.iter().map(|units| units.line).collect::<Vec<_>>())
        .bind(units.iter().map(|units| units.quantity).collect::<Vec<_>>())
        .execute(&mut *tx.statement("UPDATE order_items fulfilled"))
        .await
        .map(drop)
}

/// Writes down which units of a locked order come back.
pub(crate) async fn insert_returns(
    tx: &mut Tx,
    order: &LockedOrder,
    units: &[Units],
) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_RETURNS)
        .bind(order.id)
        .bind(order.user_id)
        .bind(units.iter().map(|units| units.line).collect::<Vec<_>>())
        .bind(units.iter().map(|units| units.quantity).collect::<Vec<_>>())
        .bind(units.iter().map(|units| units.reason.as_deref()).collect::<Vec<_>>())
        .execute(&mut *tx.statement("INSERT returns"))
        .await
        .map(drop)
}

/// Counts what was announced as returned.
pub(crate) async fn take_returns(tx: &mut Tx, id: OrderId) -> Result<Vec<ReturnedUnits>, sqlx::Error> {
    sqlx::query_as(TAKE_RETURNS)
        .bind(id.get())
        .fetch_all(&mut *tx.statement("UPDATE order_items returned"))
        .await
}

/// Forgets what was announced.
pub(crate) async fn delete_returns(tx: &mut Tx, id: OrderId) -> Result<(), sqlx::Error> {
    sqlx::query(DELETE_RETURNS).bind(id.get()).execute(&mut *tx.statement("DELETE returns")).await.map(drop)
}

/// Writes a shipment of a locked order; answers its id.
pub(crate) async fn insert_shipment(
    tx: &mut Tx,
    order: &LockedOrder,
    shipment: &NewShipment,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(INSERT_SHIPMENT)
        .bind(order.id)
        .bind(order.user_id)
        .bind(&shipment.carrier)
        .bind(&shipment.service)
        .bind(&shipment.tracking_code)
        .bind(Json(&shipment.lines))
        .bind(now)
        .fetch_one(&mut *tx.statement("INSERT shipments"))
        .await
}

/// Marks the shipments of a locked order that are on their way as delivered.
pub(crate) async fn deliver_shipments(
    tx: &mut Tx,
    id: OrderId,
    now: OffsetDateTime,
) -> Result<Vec<DeliveredShipment>, sqlx::Error> {
    sqlx::query_as(DELIVER_SHIPMENTS)
        .bind(id.get())
        .bind(now)
        .fetch_all(&mut *tx.statement("UPDATE shipments delivered"))
        .await
}

/// Writes a note about a locked order; answers its id.
pub(crate) async fn insert_note(
    tx: &mut Tx,
    id: OrderId,
    author_id: i64,
    body: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(INSERT_NOTE)
        .bind(id.get())
        .bind(author_id)
        .bind(body)
        .fetch_one(&mut *tx.statement("INSERT order_notes"))
        .await
}

/// The notes about an order.
pub(crate) async fn notes(tx: &mut Tx, id: OrderId) -> Result<Vec<NoteRow>, sqlx::Error> {
    sqlx::query_as(NOTES_OF_ORDER).bind(id.get()).fetch_all(&mut *tx.statement("SELECT order_notes")).await
}

/// Whether an attempt to pay the order is under way, or succeeded.
pub(crate) async fn has_live_payment(tx: &mut Tx, id: OrderId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(HAS_LIVE_PAYMENT)
        .bind(id.get())
        .fetch_one(&mut *tx.statement("SELECT live payment"))
        .await
}

/// Goods that go back into a cart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refill {
    pub(crate) variant_id: i64,
    pub(crate) product_id: i64,
    pub(crate) quantity: i32,
    /// The price that the buyer has seen.
    pub(crate) unit_amount: i64,
}

/// Puts goods, and a coupon where there is none, into a locked cart, which may hold `lines_max` lines.
pub(crate) async fn refill_cart(
    tx: &mut Tx,
    cart_id: Uuid,
    goods: &[Refill],
    coupon: Option<&str>,
    lines_max: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(REFILL_CART)
        .bind(cart_id)
        .bind(goods.iter().map(|refill| refill.variant_id).collect::<Vec<_>>())
        .bind(goods.iter().map(|refill| refill.product_id).collect::<Vec<_>>())
        .bind(goods.iter().map(|refill| refill.quantity).collect::<Vec<_>>())
        .bind(goods.iter().map(|refill| refill.unit_amount).collect::<Vec<_>>())
        .bind(lines_max)
        .bind(coupon)
        .execute(&mut *tx.statement("INSERT cart_items of order"))
        .await
        .map(drop)
}
