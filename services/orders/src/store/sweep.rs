//! Orders whose time to be paid is over.

use rls::Tx;

use super::order_changes::LockedOrder;
use crate::domain::OrderId;

rls::statements! {
    /// An unpaid order whose goods were kept long enough, locked; none that somebody works on, or whose money is in
    /// flight: those would take the places of others. Orders up to `$1` were looked at.
    NEXT_OVERDUE =
        "SELECT o.id, o.user_id, o.cart_token_sha256, o.coupon_code::text AS coupon_code, o.status,
                o.total_amount, o.refunded_amount, o.version
           FROM orders o
          WHERE o.id > $1 AND o.status IN ('pending_payment', 'payment_failed')
            AND o.id IN (SELECT r.order_id FROM reservations r WHERE r.state = 'held' AND r.expires_at <= now())
            AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND p.status IN
                            ('created', 'processing', 'requires_action', 'requires_capture', 'succeeded', 'unknown'))
          ORDER BY o.id LIMIT 1
            FOR UPDATE SKIP LOCKED";

    /// Whether a locked order is still overdue: asked anew, because an attempt to pay may have begun before the lock was
    /// had. Money in flight keeps the goods.
    IS_OVERDUE =
        "SELECT NOT EXISTS (SELECT FROM reservations WHERE order_id = $1 AND state = 'held' AND expires_at > now())
            AND NOT EXISTS (SELECT FROM payments WHERE order_id = $1 AND status IN
                            ('created', 'processing', 'requires_action', 'requires_capture', 'succeeded', 'unknown'))";
}

/// The next order after `after` that seems to be overdue, locked.
pub(crate) async fn next_overdue(tx: &mut Tx, after: i64) -> Result<Option<LockedOrder>, sqlx::Error> {
    sqlx::query_as(NEXT_OVERDUE).bind(after).fetch_optional(&mut *tx.statement("SELECT overdue order")).await
}

/// Whether that is still so.
pub(crate) async fn is_overdue(tx: &mut Tx, id: OrderId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(IS_OVERDUE).bind(id.get()).fetch_one(&mut *tx.statement("SELECT is overdue")).await
}
