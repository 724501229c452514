//! Carts and their lines.
//!
//! Whoever changes a cart locks its row first: changes of one cart have one order, and each raises its version once.
//! Statements named `OWN` are asked by the owner only, whose one cart they mean that is neither merged nor
//! ordered: to everybody else's eyes there is no such row, and to the service's there would be many.

use rls::{Tx, UserId};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::coupons::{GivenCoupon, given_coupon};
use crate::handlers::Principal;

/// A cart, and the coupon in it as of now: its times are judged by the database's clock.
macro_rules! cart_columns {
    () => {
        concat!(
            "c.id, c.user_id, c.token_sha256, c.version, c.state, c.currency::text AS currency,
             c.coupon_code::text AS coupon_code, c.expires_at,
             (SELECT ",
            given_coupon!(),
            "
                FROM coupons k WHERE k.code = c.coupon_code AND k.is_active) AS coupon"
        )
    };
}

/// A line, and what there is of its goods.
macro_rules! lines {
    ($source:literal, $rest:literal) => {
        concat!(
            "SELECT i.id, i.variant_id, i.product_id, i.quantity, i.seen_unit_amount::bigint AS seen_unit_amount,
                    coalesce(s.band, 'out') AS band,
                    CASE WHEN s.backorder THEN 99 ELSE greatest(coalesce(s.on_hand - s.reserved, 0), 0) END AS left_over
               FROM ",
            $source,
            " i LEFT JOIN stock_levels s ON s.variant_id = i.variant_id AND s.location_id = 1 ",
            $rest
        )
    };
}

rls::statements! {
    /// The owner's cart.
    OWN_CART = concat!(
        "SELECT ", cart_columns!(), " FROM carts c
          WHERE c.state IN ('active', 'locked')");

    /// The owner's cart, to be changed.
    LOCK_OWN_CART = concat!(
        "SELECT ", cart_columns!(), " FROM carts c
          WHERE c.state IN ('active', 'locked')
          FOR UPDATE OF c");

    /// Which variants are in the owner's cart.
    OWN_VARIANTS =
        "SELECT i.variant_id FROM cart_items i JOIN carts c ON c.id = i.cart_id
          WHERE c.state IN ('active', 'locked')";

    /// Makes the user's cart when there is none, and counts its version up when there is: it is about to change.
    TOUCH_USER_CART = concat!(
        "INSERT INTO carts AS c (id, user_id, expires_at) VALUES ($1, $2, now() + $3)
         ON CONFLICT (user_id) WHERE state IN ('active', 'locked') AND user_id IS NOT NULL
         DO UPDATE SET version = c.version + 1, updated_at = now(), expires_at = EXCLUDED.expires_at
          WHERE c.state = 'active'
         RETURNING ", cart_columns!());

    /// The same for a guest's.
    TOUCH_GUEST_CART = concat!(
        "INSERT INTO carts AS c (id, token_sha256, expires_at) VALUES ($1, $2, now() + $3)
         ON CONFLICT (token_sha256) WHERE state IN ('active', 'locked') AND token_sha256 IS NOT NULL
         DO UPDATE SET version = c.version + 1, updated_at = now(), expires_at = EXCLUDED.expires_at
          WHERE c.state = 'active'
         RETURNING ", cart_columns!());

    /// A user's cart, asked by the service.
    CART_OF_USER = concat!(
        "SELECT ", cart_columns!(), " FROM carts c
          WHERE c.user_id = $1 AND c.state IN ('active', 'locked')");

    /// A cart's lines in the order they were put in.
    LINES = lines!("cart_items", "WHERE i.cart_id = $1 ORDER BY i.id");

    /// Adds to a line, or makes it while there is room for another; answers all lines of the cart.
    ADD_LINE = concat!(
        "WITH added AS (
             INSERT INTO cart_items AS i (cart_id, variant_id, product_id, quantity, seen_unit_amount)
             SELECT $1, $2, $3, $4, $5
              WHERE (SELECT count(*) FROM cart_items o WHERE o.cart_id = $1) < $6
                 OR EXISTS (SELECT FROM cart_items o WHERE o.cart_id = $1 AND o.variant_id = $2)
             ON CONFLICT ON CONSTRAINT one_line_per_variant
             DO UPDATE SET quantity = i.quantity + EXCLUDED.quantity, seen_unit_amount = EXCLUDED.seen_unit_amount
             RETURNING i.*) ",
        lines!(
            "(SELECT * FROM added
              UNION ALL SELECT * FROM cart_items o WHERE o.cart_id = $1 AND o.variant_id <> $2)",
            "ORDER BY i.id"));

    /// Sets a line's quantity and the price that its buyer saw; the cart's version counts up.
    SET_LINE =
        "WITH line AS (
             UPDATE cart_items SET quantity = $3, seen_unit_amount = $4 WHERE cart_id = $1 AND id = $2)
         UPDATE carts SET version = version + 1, updated_at = now(), expires_at = now() + $5
          WHERE id = $1 RETURNING version, expires_at";

    /// Takes a line out; the cart's version counts up.
    REMOVE_LINE =
        "WITH line AS (DELETE FROM cart_items WHERE cart_id = $1 AND id = $2)
         UPDATE carts SET version = version + 1, updated_at = now(), expires_at = now() + $3
          WHERE id = $1 RETURNING version, expires_at";

    /// Takes everything out, the coupon too; the cart's version counts up.
    CLEAR =
        "WITH lines AS (DELETE FROM cart_items WHERE cart_id = $1)
         UPDATE carts SET coupon_code = NULL, version = version + 1, updated_at = now(), expires_at = now() + $2
          WHERE id = $1 RETURNING version, expires_at";

    /// Puts a coupon in, or takes it out; the cart's version counts up.
    SET_COUPON =
        "UPDATE carts SET coupon_code = $2, version = version + 1, updated_at = now(), expires_at = now() + $3
          WHERE id = $1 RETURNING version, expires_at";

    /// Ends carts that nobody has touched in time: so many at most, and none that somebody works on.
    EXPIRE =
        "UPDATE carts SET state = 'expired', version = version + 1, updated_at = now()
          WHERE id IN (SELECT id FROM carts WHERE state = 'active' AND expires_at <= now()
                        ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id, user_id, token_sha256, version";

    /// Carts that ended long ago, without those that others point to: those go in another round.
    DELETE_ENDED =
        "DELETE FROM carts WHERE id IN (
             SELECT c.id FROM carts c
              WHERE c.state IN ('merged', 'expired') AND c.updated_at < now() - $2::interval
                AND NOT EXISTS (SELECT FROM carts m WHERE m.merged_into = c.id)
                AND NOT EXISTS (SELECT FROM orders o WHERE o.cart_id = c.id)
              ORDER BY c.updated_at LIMIT $1 FOR UPDATE SKIP LOCKED)";

    /// Lines of carts that became orders long ago: the orders have lines of their own.
    DELETE_ORDERED_LINES =
        "DELETE FROM cart_items WHERE id IN (
             SELECT i.id FROM cart_items i JOIN carts c ON c.id = i.cart_id
              WHERE c.state = 'converted' AND c.updated_at < now() - $2::interval
              ORDER BY i.id LIMIT $1 FOR UPDATE OF i SKIP LOCKED)";
}

/// A cart.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct CartRow {
    pub(crate) id: Uuid,
    pub(crate) user_id: Option<i64>,
    pub(crate) token_sha256: Option<Vec<u8>>,
    pub(crate) version: i64,
    /// active, locked, merged, converted or expired.
    pub(crate) state: String,
    pub(crate) currency: String,
    pub(crate) coupon_code: Option<String>,
    pub(crate) expires_at: OffsetDateTime,
    /// None also when the code is no active coupon's.
    pub(crate) coupon: Option<Json<GivenCoupon>>,
}

impl CartRow {
    /// Whether it is being checked out.
    pub(crate) fn is_locked(&self) -> bool {
        self.state == "locked"
    }
}

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct LineRow {
    pub(crate) id: i64,
    pub(crate) variant_id: i64,
    pub(crate) product_id: i64,
    pub(crate) quantity: i32,
    pub(crate) seen_unit_amount: i64,
    /// What a buyer is told about the stock.
    pub(crate) band: String,
    /// How many an order could have now.
    pub(crate) left_over: i32,
}

/// A cart after a change.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(crate) struct Raised {
    pub(crate) version: i64,
    pub(crate) expires_at: OffsetDateTime,
}

/// A cart that was ended by time.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct ExpiredRow {
    pub(crate) id: Uuid,
    pub(crate) user_id: Option<i64>,
    pub(crate) token_sha256: Option<Vec<u8>>,
    pub(crate) version: i64,
}

/// The owner's cart.
pub(crate) async fn own(tx: &mut Tx) -> Result<Option<CartRow>, sqlx::Error> {
    sqlx::query_as(OWN_CART).fetch_optional(&mut *tx.statement("SELECT own cart")).await
}

/// The owner's cart, locked.
pub(crate) async fn lock_own(tx: &mut Tx) -> Result<Option<CartRow>, sqlx::Error> {
    sqlx::query_as(LOCK_OWN_CART).fetch_optional(&mut *tx.statement("SELECT own cart FOR UPDATE")).await
}

/// Which variants are in the owner's cart.
pub(crate) async fn own_variants(tx: &mut Tx) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(OWN_VARIANTS).fetch_all(&mut *tx.statement("SELECT own variants")).await
}

/// The owner's cart, made or counted up, and locked; none when it is being checked out.
pub(crate) async fn touch(
    tx: &mut Tx,
    who: Principal,
    lifetime: time::Duration,
) -> Result<Option<CartRow>, sqlx::Error> {
    let id = Uuid::now_v7();
    let query = match who {
        Principal::User(user) => sqlx::query_as(TOUCH_USER_CART).bind(id).bind(user.0),
        Principal::Guest(token) => sqlx::query_as(TOUCH_GUEST_CART).bind(id).bind(token.to_vec()),
    };
    query.bind(interval(lifetime)).fetch_optional(&mut *tx.statement("INSERT carts")).await
}

/// A user's cart.
pub(crate) async fn of_user(tx: &mut Tx, user: UserId) -> Result<Option<CartRow>, sqlx::Error> {
    sqlx::query_as(CART_OF_USER).bind(user.0).fetch_optional(&mut *tx.statement("SELECT cart of user")).await
}

/// A cart's lines.
pub(crate) async fn lines(tx: &mut Tx, id: Uuid) -> Result<Vec<LineRow>, sqlx::Error> {
    sqlx::query_as(LINES).bind(id).fetch_all(&mut *tx.statement("SELECT cart_items")).await
}

/// What is put into a cart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addition {
    pub(crate) variant_id: i64,
    pub(crate) product_id: i64,
    pub(crate) quantity: i32,
    pub(crate) unit_amount: i64,
}

/// Adds to a line of a locked cart, which may hold `lines_max` lines; answers all of its lines, without the new one
/// when there was no room for it.
pub(crate) async fn add(
    tx: &mut Tx,
    id: Uuid,
    addition: Addition,
    lines_max: i64,
) -> Result<Vec<LineRow>, sqlx::Error> {
    sqlx::query_as(ADD_LINE)
        .bind(id)
        .bind(addition.variant_id)
        .bind(addition.product_id)
        .bind(addition.quantity)
        .bind(addition.unit_amount)
        .bind(lines_max)
        .fetch_all(&mut *tx.statement("INSERT cart_items"))
        .await
}

/// Sets a line of a locked cart.
pub(crate) async fn set_line(
    tx: &mut Tx,
    id: Uuid,
    line: i64,
    quantity: i32,
    unit_amount: i64,
    lifetime: time::Duration,
) -> Result<Raised, sqlx::Error> {
    sqlx::query_as(SET_LINE)
        .bind(id)
        .bind(line)
        .bind(quantity)
        .bind(unit_amount)
        .bind(interval(lifetime))
        .fetch_one(&mut *tx.statement("UPDATE cart_items"))
        .await
}

/// Takes a line out of a locked cart.
pub(crate) async fn remove_line(
    tx: &mut Tx,
    id: Uuid,
    line: i64,
    lifetime: time::Duration,
) -> Result<Raised, sqlx::Error> {
    sqlx::query_as(REMOVE_LINE)
        .bind(id)
        .bind(line)
        .bind(interval(lifetime))
        .fetch_one(&mut *tx.statement("DELETE cart_items"))
        .await
}

/// Empties a locked cart.
pub(crate) async fn clear(tx: &mut Tx, id: Uuid, lifetime: time::Duration) -> Result<Raised, sqlx::Error> {
    sqlx::query_as(CLEAR)
        .bind(id)
        .bind(interval(lifetime))
        .fetch_one(&mut *tx.statement("DELETE all cart_items"))
        .await
}

/// Puts a coupon into a locked cart, or takes it out.
pub(crate) async fn set_coupon(
    tx: &mut Tx,
    id: Uuid,
    code: Option<&str>,
    lifetime: time::Duration,
) -> Result<Raised, sqlx::Error> {
    sqlx::query_as(SET_COUPON)
        .bind(id)
        .bind(code)
        .bind(interval(lifetime))
        .fetch_one(&mut *tx.statement("UPDATE carts coupon"))
        .await
}

/// Ends at most `limit` carts whose time is over.
pub(crate) async fn expire(tx: &mut Tx, limit: i64) -> Result<Vec<ExpiredRow>, sqlx::Error> {
    sqlx::query_as(EXPIRE).bind(limit).fetch_all(&mut *tx.statement("UPDATE carts expired")).await
}

/// Deletes at most `limit` carts that were merged or expired so long ago; answers how many.
pub(crate) async fn delete_ended(tx: &mut Tx, limit: i64, age: time::Duration) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(DELETE_ENDED).bind(limit).bind(interval(age));
    Ok(query.execute(&mut *tx.statement("DELETE ended carts")).await?.rows_affected())
}

/// Deletes at most `limit` lines of carts that became orders so long ago; answers how many.
pub(crate) async fn delete_ordered_lines(
    tx: &mut Tx,
    limit: i64,
    age: time::Duration,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(DELETE_ORDERED_LINES).bind(limit).bind(interval(age));
    Ok(query.execute(&mut *tx.statement("DELETE ordered cart_items")).await?.rows_affected())
}

/// As the database counts.
fn interval(lifetime: time::Duration) -> sqlx::postgres::types::PgInterval {
    let microseconds = i64::try_from(lifetime.whole_microseconds()).expect("lifetimes are days");
    sqlx::postgres::types::PgInterval { months: 0, days: 0, microseconds }
}
