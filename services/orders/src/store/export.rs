//! Everything kept about a user, as JSON. Run with that user's identity: policies choose the rows.

use rls::Tx;

/// A moment as the API writes it.
macro_rules! moment {
    ($column:literal) => {
        concat!("to_char(", $column, " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
    };
}

rls::statements! {
    /// Each cart as an object.
    EXPORT_CARTS = concat!(
        "SELECT jsonb_build_object('id', c.id, 'state', c.state, 'currency', c.currency,
                    'coupon_code', c.coupon_code::text,
                    'created_at', ", moment!("c.created_at"), ",
                    'items', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                         'variant_id', i.variant_id, 'product_id', i.product_id,
                                         'quantity', i.quantity, 'seen_unit_amount', i.seen_unit_amount,
                                         'added_at', ", moment!("i.added_at"), ") ORDER BY i.id), '[]')
                                FROM cart_items i WHERE i.cart_id = c.id))::text
           FROM carts c ORDER BY c.created_at, c.id");

    /// Each order as an object, with its lines, history, payments, refunds, shipments and returns.
    EXPORT_ORDERS = concat!(
        "SELECT jsonb_build_object('id', o.id, 'number', o.number, 'status', o.status, 'currency', o.currency,
                    'items_amount', o.items_amount, 'discount_amount', o.discount_amount,
                    'shipping_amount', o.shipping_amount, 'tax_amount', o.tax_amount, 'taxes', o.taxes,
                    'total_amount', o.total_amount, 'refunded_amount', o.refunded_amount,
                    'shipping_address', o.shipping_address, 'shipping_service', o.shipping_service,
                    'coupon_code', o.coupon_code::text, 'locale', o.locale,
                    'created_at', ", moment!("o.created_at"), ",
                    'items', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                         'line', i.line, 'product_id', i.product_id, 'variant_id', i.variant_id,
                                         'sku', i.sku, 'name', i.name, 'quantity', i.quantity,
                                         'unit_amount', i.unit_amount, 'discount_amount', i.discount_amount,
                                         'total_amount', i.total_amount, 'cancelled', i.cancelled,
                                         'fulfilled', i.fulfilled, 'returned', i.returned,
                                         'refunded', i.refunded) ORDER BY i.line), '[]')
                                FROM order_items i WHERE i.order_id = o.id),
                    'history', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                         'seq', h.seq, 'from_status', h.from_status, 'to_status', h.to_status,
                                         'actor', h.actor, 'reason', h.reason,
                                         'at', ", moment!("h.at"), ") ORDER BY h.seq), '[]')
                                FROM order_history h WHERE h.order_id = o.id),
                    'payments', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                         'id', p.id, 'attempt', p.attempt, 'method', p.method, 'status', p.status,
                                         'amount', p.amount, 'captured_amount', p.captured_amount,
                                         'refunded_amount', p.refunded_amount, 'failure_code', p.failure_code,
                                         'created_at', ", moment!("p.created_at"), ") ORDER BY p.attempt), '[]')
                                FROM payments p WHERE p.order_id = o.id),
                    'refunds', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                         'id', r.id, 'amount', r.amount, 'reason', r.reason, 'status', r.status,
                                         'created_at', ", moment!("r.created_at"), ") ORDER BY r.created_at), '[]')
                                FROM refunds r WHERE r.order_id = o.id),
                    'shipments', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                         'id', s.id, 'carrier', s.carrier, 'service', s.service,
                                         'tracking_code', s.tracking_code, 'lines', s.lines, 'status', s.status,
                                         'shipped_at', ", moment!("s.shipped_at"), ",
                                         'delivered_at', ", moment!("s.delivered_at"), ") ORDER BY s.id), '[]')
                                FROM shipments s WHERE s.order_id = o.id),
                    'returns', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                         'line', r.line, 'quantity', r.quantity, 'reason', r.reason,
                                         'at', ", moment!("r.at"), ") ORDER BY r.line), '[]')
                                FROM returns r WHERE r.order_id = o.id))::text
           FROM orders o ORDER BY o.id");
}

/// The caller's rows of each kind, one JSON object per row.
#[derive(Clone, Debug)]
pub(crate) struct Exported {
    pub(crate) carts: Vec<String>,
    pub(crate) orders: Vec<String>,
}

/// Everything that the caller has here, in two statements.
pub(crate) async fn all(tx: &mut Tx) -> Result<Exported, sqlx::Error> {
    let carts =
        sqlx::query_scalar(EXPORT_CARTS).fetch_all(&mut *tx.statement("SELECT carts to export")).await?;
    let orders =
        sqlx::query_scalar(EXPORT_ORDERS).fetch_all(&mut *tx.statement("SELECT orders to export")).await?;
    Ok(Exported { carts, orders })
}
