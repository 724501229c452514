//! The statements of a checkout: one each, however many lines there are.

use rls::Tx;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::coupons::GivenCoupon;
use super::orders::{StoredAddress, StoredTax};
use crate::domain::OrderId;
use crate::domain::coupon::Code;

rls::statements! {
    /// The caller's cart as it would be ordered, lines in the order in which they were put in, how many there are of
    /// each, and what its coupon, or the one in `$1`, gives now.
    CART_TO_ORDER =
        "SELECT c.id, c.version, c.state, c.currency::text AS currency, c.coupon_code::text AS coupon_code,
                coalesce(i.variants, '{}') AS variants, coalesce(i.quantities, '{}') AS quantities,
                coalesce(i.seen, '{}') AS seen, coalesce(i.available, '{}') AS available,
                (SELECT jsonb_build_object('code', k.code, 'kind', k.kind, 'value', k.value, 'rules', k.rules,
                                           'begun', coalesce(k.starts_at <= now(), true),
                                           'over', coalesce(k.ends_at <= now(), false),
                                           'exhausted', coalesce(k.used >= k.usage_limit, false))
                   FROM coupons k WHERE k.code = coalesce($1::text::citext, c.coupon_code) AND k.is_active) AS coupon
           FROM carts c
          CROSS JOIN LATERAL (SELECT array_agg(i.variant_id              ORDER BY i.id) AS variants,
                                     array_agg(i.quantity                ORDER BY i.id) AS quantities,
                                     array_agg(i.seen_unit_amount::bigint ORDER BY i.id) AS seen,
                                     array_agg(CASE WHEN s.backorder THEN NULL
                                                    ELSE coalesce(s.on_hand - s.reserved, 0) END::bigint
                                               ORDER BY i.id) AS available
                                FROM cart_items i
                                LEFT JOIN stock_levels s ON s.variant_id = i.variant_id AND s.location_id = 1
                               WHERE i.cart_id = c.id) i
          WHERE c.state IN ('active', 'locked')";

    /// That cart, locked, as it is now; how many orders its owner has not paid; and the next order's id.
    ///
    /// Whoever changes a line raises the version of its cart, under the cart's lock: a cart of the version that was
    /// read holds the lines that were read. The unpaid orders of one owner cannot grow beside this, because the
    /// owner has no other cart to order.
    LOCK_CART =
        "WITH cart AS (SELECT id, version, state, user_id, token_sha256 FROM carts WHERE id = $1 FOR UPDATE)
         SELECT cart.version, cart.state,
                coalesce((SELECT array_agg(i.variant_id ORDER BY i.id) FROM cart_items i WHERE i.cart_id = cart.id), '{}')
                    AS variants,
                coalesce((SELECT array_agg(i.quantity ORDER BY i.id) FROM cart_items i WHERE i.cart_id = cart.id), '{}')
                    AS quantities,
                (SELECT count(*) FROM orders o
                  WHERE o.user_id = cart.user_id AND o.status IN ('pending_payment', 'payment_failed'))
                + (SELECT count(*) FROM orders o
                    WHERE o.cart_token_sha256 = cart.token_sha256 AND o.status IN ('pending_payment', 'payment_failed'))
                    AS unpaid,
                nextval('orders_id_seq') AS order_id
           FROM cart
          WHERE cart.user_id IS NOT DISTINCT FROM $2 AND cart.token_sha256 IS NOT DISTINCT FROM $3";

    /// An order; its number says in which year it was placed, by the clocks of the shop.
    INSERT_ORDER =
        "INSERT INTO orders (id, number, user_id, order_token_sha256, cart_token_sha256, email, locale, cart_id,
                             currency, items_amount, discount_amount, shipping_amount, tax_amount, taxes,
                             total_amount, shipping_address, shipping_service, coupon_code)
         VALUES ($1::bigint,
                 concat('MC-', to_char(now() AT TIME ZONE 'America/Sao_Paulo', 'YYYY'), '-',
                        lpad($1::bigint::text, greatest(6, length($1::bigint::text)), '0')),
                 $2, $3, $4, $5::text::citext, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::text::citext)
         RETURNING number, created_at";

    /// Its lines, numbered as they come.
    INSERT_ITEMS =
        "INSERT INTO order_items (order_id, user_id, line, product_id, variant_id, sku, name, weight_g, quantity,
                                  unit_amount, discount_amount, total_amount)
         SELECT $1, $2, l.line, l.product_id, l.variant_id, l.sku, l.name, l.weight_g, l.quantity, l.unit_amount,
                l.discount_amount, l.unit_amount * l.quantity - l.discount_amount
           FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::int[], $8::int[], $9::bigint[],
                       $10::bigint[])
                WITH ORDINALITY AS l (product_id, variant_id, sku, name, weight_g, quantity, unit_amount,
                                      discount_amount, line)";

    /// The first entry of its history.
    INSERT_FIRST_ENTRY =
        "INSERT INTO order_history (order_id, seq, user_id, from_status, to_status, actor)
         VALUES ($1, 1, $2, NULL, 'pending_payment', 'customer')
         RETURNING at";

    /// The cart is an order now.
    CONVERT_CART =
        "UPDATE carts SET state = 'converted', version = version + 1, updated_at = now()
          WHERE id = $1 RETURNING version";
}

/// A cart as it would be ordered.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct CartToOrder {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    /// `active` or `locked`.
    pub(crate) state: String,
    pub(crate) currency: String,
    pub(crate) coupon_code: Option<String>,
    pub(crate) variants: Vec<i64>,
    pub(crate) quantities: Vec<i32>,
    /// Unit prices that the buyer has seen, minor units.
    pub(crate) seen: Vec<i64>,
    /// What is left of each variant; none where more can always be ordered.
    pub(crate) available: Vec<Option<i64>>,
    /// None also when the code is no active coupon's.
    pub(crate) coupon: Option<Json<GivenCoupon>>,
}

/// A cart at the moment of its checkout.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct LockedCart {
    pub(crate) version: i64,
    pub(crate) state: String,
    pub(crate) variants: Vec<i64>,
    pub(crate) quantities: Vec<i32>,
    /// Orders of the same owner that wait to be paid.
    pub(crate) unpaid: i64,
    /// Of the order that it becomes.
    pub(crate) order_id: i64,
}

/// An order to be written.
#[derive(Debug)]
pub(crate) struct NewOrder<'a> {
    pub(crate) id: OrderId,
    pub(crate) user_id: Option<i64>,
    /// Of a guest's order.
    pub(crate) order_token_sha256: Option<[u8; 32]>,
    /// Of a guest's order.
    pub(crate) cart_token_sha256: Option<[u8; 32]>,
    /// Of a guest.
    pub(crate) email: Option<&'a str>,
    pub(crate) locale: &'a str,
    pub(crate) cart_id: Uuid,
    pub(crate) currency: &'a str,
    pub(crate) items_amount: i64,
    pub(crate) discount_amount: i64,
    pub(crate) shipping_amount: i64,
    pub(crate) tax_amount: i64,
    pub(crate) taxes: &'a [StoredTax],
    pub(crate) total_amount: i64,
    pub(crate) shipping_address: &'a StoredAddress,
    pub(crate) shipping_service: &'a str,
    pub(crate) coupon_code: Option<&'a str>,
}

/// A line of an order to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewItem {
    pub(crate) product_id: i64,
    pub(crate) variant_id: i64,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) weight_g: i32,
    pub(crate) quantity: i32,
    pub(crate) unit_amount: i64,
    pub(crate) discount_amount: i64,
}

/// The caller's cart, if there is one, with `code` instead of its own coupon.
pub(crate) async fn cart_to_order(
    tx: &mut Tx,
    code: Option<&Code>,
) -> Result<Option<CartToOrder>, sqlx::Error> {
    sqlx::query_as(CART_TO_ORDER)
        .bind(code.map(Code::as_str))
        .fetch_optional(&mut *tx.statement("SELECT cart to order"))
        .await
}

/// The buyer's cart, locked.
pub(crate) async fn lock_cart(
    tx: &mut Tx,
    cart_id: Uuid,
    user_id: Option<i64>,
    token_sha256: Option<[u8; 32]>,
) -> Result<Option<LockedCart>, sqlx::Error> {
    sqlx::query_as(LOCK_CART)
        .bind(cart_id)
        .bind(user_id)
        .bind(token_sha256.as_ref().map(<[u8; 32]>::as_slice))
        .fetch_optional(&mut *tx.statement("SELECT cart FOR UPDATE"))
        .await
}

/// Writes the order; answers its number and when it was placed.
pub(crate) async fn insert_order(
    tx: &mut Tx,
    order: &NewOrder<'_>,
) -> Result<(String, OffsetDateTime), sqlx::Error> {
    sqlx::query_as(INSERT_ORDER)
        .bind(order.id.get())
        .bind(order.user_id)
        .bind(order.order_token_sha256.as_ref().map(<[u8; 32]>::as_slice))
        .bind(order.cart_token_sha256.as_ref().map(<[u8; 32]>::as_slice))
        .bind(order.email)
        .bind(order.locale)
        .bind(order.cart_id)
        .bind(order.currency)
        .bind(order.items_amount)
        .bind(order.discount_amount)
        .bind(order.shipping_amount)
        .bind(order.tax_amount)
        .bind(Json(order.taxes))
        .bind(order.total_amount)
        .bind(Json(order.shipping_address))
        .bind(order.shipping_service)
        .bind(order.coupon_code)
        .fetch_one(&mut *tx.statement("INSERT orders"))
        .await
}

/// Writes the order's lines, numbered from 1.
pub(crate) async fn insert_items(
    tx: &mut Tx,
    id: OrderId,
    user_id: Option<i64>,
    items: &[NewItem],
) -> Result<(), sqlx::Error> {
    fn column<T>(items: &[NewItem], of: fn(&NewItem) -> T) -> Vec<T> {
        items.iter().map(of).collect()
    }
    sqlx::query(INSERT_ITEMS)
        .bind(id.get())
        .bind(user_id)
        .bind(column(items, |item| item.product_id))
        .bind(column(items, |item| item.variant_id))
        .bind(column(items, |item| item.sku.clone()))
        .bind(column(items, |item| item.name.clone()))
        .bind(column(items, |item| item.weight_g))
        .bind(column(items, |item| item.quantity))
        .bind(column(items, |item| item.unit_amount))
        .bind(column(items, |item| item.discount_amount))
        .execute(&mut *tx.statement("INSERT order_items"))
        .await
        .map(drop)
}

/// Begins the order's history.
pub(crate) async fn insert_first_entry(
    tx: &mut Tx,
    id: OrderId,
    user_id: Option<i64>,
) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar(INSERT_FIRST_ENTRY)
        .bind(id.get())
        .bind(user_id)
        .fetch_one(&mut *tx.statement("INSERT order_history"))
        .await
}

/// Takes a locked cart out of use; answers its version.
pub(crate) async fn convert_cart(tx: &mut Tx, cart_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(CONVERT_CART)
        .bind(cart_id)
        .fetch_one(&mut *tx.statement("UPDATE carts converted"))
        .await
}
