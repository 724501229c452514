//! Orders as their buyers and staff read them. Policies choose whose.

use rls::Tx;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::OrderId;

/// An order with how long its goods are kept and what was sent off.
macro_rules! order {
    ($rest:literal) => {
        concat!(
            "SELECT o.id, o.number, o.user_id, o.status, o.currency, o.items_amount, o.discount_amount,
                    o.shipping_amount, o.tax_amount, o.taxes, o.total_amount, o.refunded_amount,
                    o.shipping_address, o.shipping_service, o.coupon_code::text AS coupon_code, o.version,
                    o.created_at,
                    (SELECT min(r.expires_at) FROM reservations r
                      WHERE r.order_id = o.id AND r.state = 'held') AS reserved_until,
                    (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                'id', s.id, 'carrier', s.carrier, 'service', s.service,
                                'tracking_code', s.tracking_code, 'status', s.status,
                                'shipped_us', (extract(epoch FROM s.shipped_at) * 1000000)::bigint,
                                'delivered_us', (extract(epoch FROM s.delivered_at) * 1000000)::bigint)
                                ORDER BY s.id), '[]')
                       FROM shipments s WHERE s.order_id = o.id) AS shipments
               FROM orders o ",
            $rest
        )
    };
}

/// A line of a list.
macro_rules! summary {
    ($rest:literal) => {
        concat!(
            "SELECT o.id, o.number, o.status, o.total_amount, o.currency, o.created_at, o.user_id, o.version,
                    (SELECT count(*) FROM order_items i WHERE i.order_id = o.id) AS items_count
               FROM orders o
              WHERE (cardinality($1::text[]) = 0 OR o.status = ANY ($1))
                AND ($2::timestamptz IS NULL OR o.created_at >= $2)
                AND ($3::timestamptz IS NULL OR o.created_at < $3) ",
            $rest
        )
    };
}

rls::statements! {
    /// A page of the caller's orders by its number, newest first.
    LIST_ORDERS = summary!("ORDER BY o.created_at DESC, o.id DESC LIMIT $4 OFFSET $5");

    /// The caller's orders that come after a place in that list.
    LIST_ORDERS_AFTER = summary!(
        "AND (o.created_at, o.id) < ($5, $6) ORDER BY o.created_at DESC, o.id DESC LIMIT $4");

    /// The caller's orders that come before a place in that list, nearest first.
    LIST_ORDERS_BEFORE = summary!(
        "AND (o.created_at, o.id) > ($5, $6) ORDER BY o.created_at, o.id LIMIT $4");

    /// How many orders such a list has.
    COUNT_ORDERS =
        "SELECT count(*) FROM orders o
          WHERE (cardinality($1::text[]) = 0 OR o.status = ANY ($1))
            AND ($2::timestamptz IS NULL OR o.created_at >= $2)
            AND ($3::timestamptz IS NULL OR o.created_at < $3)";

    /// One order.
    GET_ORDER = order!("WHERE o.id = $1");

    /// Its lines.
    ITEMS_OF_ORDER =
        "SELECT line, product_id, variant_id, sku, name, quantity, unit_amount, discount_amount, total_amount,
                cancelled, fulfilled, returned, refunded
           FROM order_items WHERE order_id = $1 ORDER BY line";

    /// What happened to it, from an entry on.
    HISTORY_OF_ORDER =
        "SELECT seq, from_status, to_status, actor, reason, at
           FROM order_history WHERE order_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

    /// What was tried to pay for it, the last attempt last.
    PAYMENTS_OF_ORDER =
        "SELECT id, order_id, attempt, method, status, amount, currency, captured_amount, refunded_amount,
                failure_code, retryable, next_action, created_at
           FROM payments WHERE order_id = $1 ORDER BY attempt";

    /// How far its history is, when the caller may see the order at all.
    LAST_ENTRY =
        "SELECT (SELECT max(h.seq) FROM order_history h WHERE h.order_id = o.id) FROM orders o WHERE o.id = $1";

    /// Where it stands.
    STANDING = "SELECT status, version FROM orders WHERE id = $1";

    /// Where it goes to.
    ADDRESS = "SELECT shipping_address FROM orders WHERE id = $1";

    /// How far the histories of some orders are.
    LAST_ENTRIES = "SELECT order_id, max(seq) FROM order_history WHERE order_id = ANY ($1) GROUP BY order_id";

    /// Whom to tell about an order; a user is written to at the account's address.
    ADDRESSEE = "SELECT user_id, email::text AS email, locale FROM orders WHERE id = $1";
}

/// An order as readers see it, without its lines and history.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct OrderRow {
    pub(crate) id: i64,
    pub(crate) number: String,
    /// `None` of a guest's, and once the account is erased.
    pub(crate) user_id: Option<i64>,
    pub(crate) status: String,
    pub(crate) currency: String,
    pub(crate) items_amount: i64,
    pub(crate) discount_amount: i64,
    pub(crate) shipping_amount: i64,
    pub(crate) tax_amount: i64,
    pub(crate) taxes: Json<Vec<StoredTax>>,
    pub(crate) total_amount: i64,
    pub(crate) refunded_amount: i64,
    /// `None` once the account is erased.
    pub(crate) shipping_address: Option<Json<StoredAddress>>,
    pub(crate) shipping_service: String,
    pub(crate) coupon_code: Option<String>,
    pub(crate) version: i64,
    pub(crate) created_at: OffsetDateTime,
    /// `None` when nothing is held for it.
    pub(crate) reserved_until: Option<OffsetDateTime>,
    pub(crate) shipments: Json<Vec<StoredShipment>>,
}

/// A tax as an order keeps it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct StoredTax {
    pub(crate) name: String,
    pub(crate) rate_basis_points: i32,
    pub(crate) amount: i64,
}

/// Where an order goes.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct StoredAddress {
    pub(crate) recipient: String,
    pub(crate) line1: String,
    pub(crate) line2: Option<String>,
    pub(crate) district: Option<String>,
    pub(crate) city: String,
    pub(crate) state: String,
    pub(crate) postal_code: String,
    pub(crate) country: String,
}

/// Where somebody lives does not belong into a log.
impl std::fmt::Debug for StoredAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredAddress(..)")
    }
}

/// A shipment as its order tells of it; moments in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct StoredShipment {
    pub(crate) id: i64,
    pub(crate) carrier: String,
    pub(crate) service: String,
    pub(crate) tracking_code: Option<String>,
    pub(crate) status: String,
    pub(crate) shipped_us: Option<i64>,
    pub(crate) delivered_us: Option<i64>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct ItemRow {
    pub(crate) line: i32,
    pub(crate) product_id: i64,
    pub(crate) variant_id: i64,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) quantity: i32,
    pub(crate) unit_amount: i64,
    pub(crate) discount_amount: i64,
    pub(crate) total_amount: i64,
    pub(crate) cancelled: i32,
    pub(crate) fulfilled: i32,
    pub(crate) returned: i32,
    pub(crate) refunded: i32,
}

impl ItemRow {
    /// Units that are neither cancelled nor sent off.
    pub(crate) fn waiting(&self) -> i32 {
        self.quantity - self.cancelled - self.fulfilled
    }
}

/// An entry of an order's history.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct EntryRow {
    pub(crate) seq: i32,
    /// `None` in the first.
    pub(crate) from_status: Option<String>,
    pub(crate) to_status: String,
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    pub(crate) at: OffsetDateTime,
}

/// An attempt to pay, as buyers see it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct AttemptRow {
    pub(crate) id: Uuid,
    pub(crate) order_id: i64,
    pub(crate) attempt: i32,
    pub(crate) method: String,
    pub(crate) status: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) captured_amount: i64,
    pub(crate) refunded_amount: i64,
    pub(crate) failure_code: Option<String>,
    pub(crate) retryable: bool,
    pub(crate) next_action: Option<serde_json::Value>,
    pub(crate) created_at: OffsetDateTime,
}

/// A line of a list of orders.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct SummaryRow {
    pub(crate) id: i64,
    pub(crate) number: String,
    pub(crate) status: String,
    pub(crate) total_amount: i64,
    pub(crate) currency: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) user_id: Option<i64>,
    pub(crate) version: i64,
    pub(crate) items_count: i64,
}

/// Which orders a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Every status when empty.
    pub(crate) statuses: Vec<&'static str>,
    /// From this moment on.
    pub(crate) from: Option<OffsetDateTime>,
    /// Before this moment.
    pub(crate) to: Option<OffsetDateTime>,
}

/// Whom to tell about an order.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct Addressee {
    pub(crate) user_id: Option<i64>,
    /// Of a guest.
    pub(crate) email: Option<String>,
    pub(crate) locale: String,
}

/// The caller's orders, newest first.
pub(crate) async fn orders(
    tx: &mut Tx,
    filter: &Filter,
    limit: i64,
    offset: i64,
) -> Result<Vec<SummaryRow>, sqlx::Error> {
    sqlx::query_as(LIST_ORDERS)
        .bind(&filter.statuses)
        .bind(filter.from)
        .bind(filter.to)
        .bind(limit)
        .bind(offset)
        .fetch_all(&mut *tx.statement("SELECT orders"))
        .await
}

/// The caller's orders after that row, newest first.
pub(crate) async fn orders_after(
    tx: &mut Tx,
    filter: &Filter,
    limit: i64,
    (created_at, id): (OffsetDateTime, i64),
) -> Result<Vec<SummaryRow>, sqlx::Error> {
    sqlx::query_as(LIST_ORDERS_AFTER)
        .bind(&filter.statuses)
        .bind(filter.from)
        .bind(filter.to)
        .bind(limit)
        .bind(created_at)
        .bind(id)
        .fetch_all(&mut *tx.statement("SELECT orders"))
        .await
}

/// The caller's orders before that row, newest first.
pub(crate) async fn orders_before(
    tx: &mut Tx,
    filter: &Filter,
    limit: i64,
    (created_at, id): (OffsetDateTime, i64),
) -> Result<Vec<SummaryRow>, sqlx::Error> {
    let mut rows: Vec<SummaryRow> = sqlx::query_as(LIST_ORDERS_BEFORE)
        .bind(&filter.statuses)
        .bind(filter.from)
        .bind(filter.to)
        .bind(limit)
        .bind(created_at)
        .bind(id)
        .fetch_all(&mut *tx.statement("SELECT orders"))
        .await?;
    rows.reverse();
    Ok(rows)
}

/// How many orders of the caller's the filter lets through.
pub(crate) async fn count(tx: &mut Tx, filter: &Filter) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_ORDERS)
        .bind(&filter.statuses)
        .bind(filter.from)
        .bind(filter.to)
        .fetch_one(&mut *tx.statement("SELECT count of orders"))
        .await
}

/// One order, if the caller may see it.
pub(crate) async fn order(tx: &mut Tx, id: OrderId) -> Result<Option<OrderRow>, sqlx::Error> {
    sqlx::query_as(GET_ORDER).bind(id.get()).fetch_optional(&mut *tx.statement("SELECT order")).await
}

/// An order's lines.
pub(crate) async fn items(tx: &mut Tx, id: OrderId) -> Result<Vec<ItemRow>, sqlx::Error> {
    sqlx::query_as(ITEMS_OF_ORDER).bind(id.get()).fetch_all(&mut *tx.statement("SELECT order_items")).await
}

/// At most `limit` entries of an order's history after entry `after`.
pub(crate) async fn history(
    tx: &mut Tx,
    id: OrderId,
    after: i32,
    limit: i64,
) -> Result<Vec<EntryRow>, sqlx::Error> {
    sqlx::query_as(HISTORY_OF_ORDER)
        .bind(id.get())
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *tx.statement("SELECT order_history"))
        .await
}

/// What was tried to pay for an order.
pub(crate) async fn payments(tx: &mut Tx, id: OrderId) -> Result<Vec<AttemptRow>, sqlx::Error> {
    sqlx::query_as(PAYMENTS_OF_ORDER)
        .bind(id.get())
        .fetch_all(&mut *tx.statement("SELECT payments of order"))
        .await
}

/// The last entry of an order's history; `None` when the caller may not see the order.
pub(crate) async fn last_entry(tx: &mut Tx, id: OrderId) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar(LAST_ENTRY)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT last of order_history"))
        .await
}

/// Where an order stands.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct StandingRow {
    pub(crate) status: String,
    pub(crate) version: i64,
}

/// Where an order stands; `None` when the caller may not see it.
pub(crate) async fn standing(tx: &mut Tx, id: OrderId) -> Result<Option<StandingRow>, sqlx::Error> {
    sqlx::query_as(STANDING)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT standing of order"))
        .await
}

/// Where an order goes to; `None` once the account is erased.
pub(crate) async fn address(tx: &mut Tx, id: OrderId) -> Result<Option<StoredAddress>, sqlx::Error> {
    let address: Option<Option<Json<StoredAddress>>> = sqlx::query_scalar(ADDRESS)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT address of order"))
        .await?;
    Ok(address.flatten().map(|Json(address)| address))
}

/// The last entry of each of these orders' histories.
pub(crate) async fn last_entries(tx: &mut Tx, ids: &[i64]) -> Result<Vec<(i64, i32)>, sqlx::Error> {
    sqlx::query_as(LAST_ENTRIES).bind(ids).fetch_all(&mut *tx.statement("SELECT last of order_history")).await
}

/// Whom to tell about an order.
pub(crate) async fn addressee(tx: &mut Tx, id: OrderId) -> Result<Option<Addressee>, sqlx::Error> {
    sqlx::query_as(ADDRESSEE).bind(id.get()).fetch_optional(&mut *tx.statement("SELECT addressee")).await
}
