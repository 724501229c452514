//! What goes with an account. Run as the service, in batches: whoever erases has no orders.
//!
//! An order stays: the shop has to account for what it sold. What it says about a person goes; where it goes to only once
//! nothing is owed to them any more, which `orders.move` sees to.

use rls::Tx;

rls::statements! {
    /// Some orders of an account, locked.
    ORDERS_OF_ACCOUNT = "SELECT id FROM orders WHERE user_id = $1 ORDER BY id LIMIT $2 FOR UPDATE";

    /// Everything below these orders that names their buyer, and they themselves, forget the buyer.
    FORGET_BUYER =
        "WITH gone AS (SELECT unnest($1::bigint[]) AS id),
         items     AS (UPDATE order_items   t SET user_id = NULL FROM gone WHERE t.order_id = gone.id),
         history   AS (UPDATE order_history t SET user_id = NULL, reason = NULL FROM gone WHERE t.order_id = gone.id),
         shipments AS (UPDATE shipments     t SET user_id = NULL FROM gone WHERE t.order_id = gone.id),
         returns   AS (UPDATE returns       t SET user_id = NULL, reason = NULL FROM gone WHERE t.order_id = gone.id),
         notes     AS (UPDATE order_notes   t SET body = 'erased' FROM gone WHERE t.order_id = gone.id),
         payments  AS (UPDATE payments      t SET user_id = NULL FROM gone WHERE t.order_id = gone.id),
         refunds   AS (UPDATE refunds t SET user_id = NULL, requested_by = nullif(t.requested_by, $2), reason = 'erased'
                         FROM gone WHERE t.order_id = gone.id),
         coupons   AS (UPDATE coupon_redemptions t SET customer_key = concat('erased:', t.order_id)
                         FROM gone WHERE t.order_id = gone.id)
         UPDATE orders t SET user_id = NULL, email = NULL, order_token_sha256 = NULL, cart_token_sha256 = NULL,
                             shipping_address = CASE WHEN t.status IN ('pending_payment', 'payment_failed', 'paid',
                                                                       'processing')
                                                     THEN t.shipping_address END
           FROM gone WHERE t.id = gone.id";

    /// Guests' carts that went into those of an account.
    ERASE_MERGED_CARTS =
        "DELETE FROM carts WHERE id IN (
             SELECT m.id FROM carts m JOIN carts c ON c.id = m.merged_into WHERE c.user_id = $1 ORDER BY m.id LIMIT $2)";

    /// Carts of an account from which nothing was ordered.
    ERASE_CARTS =
        "DELETE FROM carts WHERE id IN (
             SELECT c.id FROM carts c
              WHERE c.user_id = $1 AND NOT EXISTS (SELECT FROM orders o WHERE o.cart_id = c.id)
                AND NOT EXISTS (SELECT FROM carts m WHERE m.merged_into = c.id)
              ORDER BY c.id LIMIT $2)";

    /// Carts that an order names stay, empty, and belong to a token that nobody has.
    FORGET_OWNER =
        "WITH gone AS (SELECT c.id FROM carts c WHERE c.user_id = $1 ORDER BY c.id LIMIT $2),
         items AS (DELETE FROM cart_items i USING gone WHERE i.cart_id = gone.id)
         UPDATE carts c SET user_id = NULL, coupon_code = NULL, merge_report = NULL,
                            token_sha256 = sha256(concat(gen_random_uuid(), gen_random_uuid())::bytea)
           FROM gone WHERE c.id = gone.id";

    /// Answers that were kept for an account.
    ERASE_ANSWERS =
        "DELETE FROM idempotency_keys WHERE (scope, route, key) IN (
             SELECT scope, route, key FROM idempotency_keys WHERE scope = concat('user:', $1::bigint) LIMIT $2)";
}

/// Lets up to `limit` orders of the account forget it; answers how many.
pub(crate) async fn orders(tx: &mut Tx, user_id: i64, limit: i64) -> Result<usize, sqlx::Error> {
    let ids: Vec<i64> = sqlx::query_scalar(ORDERS_OF_ACCOUNT)
        .bind(user_id)
        .bind(limit)
        .fetch_all(&mut *tx.statement("SELECT orders of account"))
        .await?;
    if !ids.is_empty() {
        sqlx::query(FORGET_BUYER)
            .bind(&ids)
            .bind(user_id)
            .execute(&mut *tx.statement("UPDATE orders of account"))
            .await?;
    }
    Ok(ids.len())
}

/// Deletes up to `limit` carts of guests that went into the account's; answers how many.
pub(crate) async fn merged_carts(tx: &mut Tx, user_id: i64, limit: i64) -> Result<u64, sqlx::Error> {
    erase(tx, ERASE_MERGED_CARTS, "DELETE merged carts of account", user_id, limit).await
}

/// Deletes up to `limit` carts of the account; answers how many.
pub(crate) async fn carts(tx: &mut Tx, user_id: i64, limit: i64) -> Result<u64, sqlx::Error> {
    erase(tx, ERASE_CARTS, "DELETE carts of account", user_id, limit).await
}

/// Takes the account off up to `limit` carts that orders name; answers how many.
pub(crate) async fn ordered_carts(tx: &mut Tx, user_id: i64, limit: i64) -> Result<u64, sqlx::Error> {
    erase(tx, FORGET_OWNER, "UPDATE carts of account", user_id, limit).await
}

/// Deletes up to `limit` kept answers of the account; answers how many.
pub(crate) async fn answers(tx: &mut Tx, user_id: i64, limit: i64) -> Result<u64, sqlx::Error> {
    erase(tx, ERASE_ANSWERS, "DELETE answers of account", user_id, limit).await
}

async fn erase(
    tx: &mut Tx,
    sql: &'static str,
    name: &'static str,
    user_id: i64,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let erased = sqlx::query(sql).bind(user_id).bind(limit).execute(&mut *tx.statement(name)).await?;
    Ok(erased.rows_affected())
}
