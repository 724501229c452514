//! What becomes of an order's goods when its payment moves on. The caller holds the order's row.

use rls::Tx;

pub(crate) use crate::stock::StockChange;

rls::statements! {
    /// Takes the goods that are held for an order; says whether some were not.
    TAKE_GOODS =
        "SELECT g.gone, c.variant_id, c.product_id, c.on_hand, c.reserved, c.version, c.old_band, c.band, c.band_version
           FROM (SELECT EXISTS (SELECT FROM order_items i
                                 WHERE i.order_id = $1 AND i.cancelled < i.quantity
                                   AND NOT EXISTS (SELECT FROM reservations r
                                                    WHERE r.order_id = $1 AND r.variant_id = i.variant_id
                                                      AND r.state <> 'released' AND r.quantity > 0)) AS gone) g
           LEFT JOIN LATERAL settle($1, 'committed') c ON NOT g.gone";

    /// Gives back what is held for an order.
    RELEASE_GOODS =
        "SELECT variant_id, product_id, on_hand, reserved, version, old_band, band, band_version
           FROM settle($1, 'released')";

    /// Gives back what was taken for an order.
    RETURN_GOODS =
        "SELECT c.variant_id, c.product_id, c.on_hand, c.reserved, c.version, c.old_band, c.band, c.band_version
           FROM (SELECT array_agg(r.variant_id) AS variants, array_agg(r.quantity) AS quantities
                   FROM reservations r WHERE r.order_id = $1 AND r.state = 'committed' AND r.quantity > 0) r,
                LATERAL give_back($1, r.variants, r.quantities) c";

    /// Promises an order its goods once more, all or none, for so many seconds; says whether some were gone.
    RESERVE_AGAIN =
        "SELECT c.variant_id IS NULL AS gone, c.variant_id, c.product_id, c.on_hand, c.reserved, c.version, c.old_band,
                c.band, c.band_version
           FROM (SELECT array_agg(i.variant_id) AS variants, array_agg(i.quantity - i.cancelled) AS quantities
                   FROM order_items i WHERE i.order_id = $1 AND i.cancelled < i.quantity) i,
                LATERAL reserve_if_there($1, i.variants, i.quantities, make_interval(secs => $2::double precision)) c";

    /// Uses up once more the coupon of an order that expired; says whether the order may have it.
    REDEEM_AGAIN = "SELECT redeem_again($1)";

    /// Gives the coupon of an order that came to nothing back.
    GIVE_COUPON_BACK = "SELECT unredeem($1)";
}

/// A change, beside whether some goods were gone.
#[derive(sqlx::FromRow)]
struct Taken {
    gone: bool,
    variant_id: Option<i64>,
    product_id: Option<i64>,
    on_hand: Option<i32>,
    reserved: Option<i32>,
    version: Option<i64>,
    old_band: Option<String>,
    band: Option<String>,
    band_version: Option<i64>,
}

impl Taken {
    /// The change; none when there was nothing left to take.
    fn change(self) -> Option<StockChange> {
        Some(StockChange {
            variant_id: self.variant_id?,
            product_id: self.product_id?,
            on_hand: self.on_hand?,
            reserved: self.reserved?,
            version: self.version?,
            old_band: self.old_band?,
            band: self.band?,
            band_version: self.band_version?,
        })
    }
}

/// Takes an order's goods; `None`, and nothing is taken, when some of them are not held. A repeat takes nothing.
pub(crate) async fn take(tx: &mut Tx, order_id: i64) -> Result<Option<Vec<StockChange>>, sqlx::Error> {
    let taken: Vec<Taken> = sqlx::query_as(TAKE_GOODS)
        .bind(order_id)
        .fetch_all(&mut *tx.statement("SELECT settle committed"))
        .await?;
    if taken.iter().any(|taken| taken.gone) {
        return Ok(None);
    }
    Ok(Some(taken.into_iter().filter_map(Taken::change).collect()))
}

/// Gives back what is held for an order.
pub(crate) async fn release(tx: &mut Tx, order_id: i64) -> Result<Vec<StockChange>, sqlx::Error> {
    sqlx::query_as(RELEASE_GOODS).bind(order_id).fetch_all(&mut *tx.statement("SELECT settle released")).await
}

/// Gives back what was taken for an order.
pub(crate) async fn give_back(tx: &mut Tx, order_id: i64) -> Result<Vec<StockChange>, sqlx::Error> {
    sqlx::query_as(RETURN_GOODS).bind(order_id).fetch_all(&mut *tx.statement("SELECT give_back")).await
}

/// Promises an order its goods once more. `None` when there is not enough; the transaction goes on.
pub(crate) async fn reserve_again(
    tx: &mut Tx,
    order_id: i64,
    keep: time::Duration,
) -> Result<Option<Vec<StockChange>>, sqlx::Error> {
    let reserved: Vec<Taken> = sqlx::query_as(RESERVE_AGAIN)
        .bind(order_id)
        .bind(keep.as_seconds_f64())
        .fetch_all(&mut *tx.statement("SELECT reserve again"))
        .await?;
    if reserved.iter().any(|reserved| reserved.gone) {
        return Ok(None);
    }
    Ok(Some(reserved.into_iter().filter_map(Taken::change).collect()))
}

/// Uses an order's coupon up once more; `false` when somebody else has it now. Nothing to do without a coupon.
pub(crate) async fn redeem_again(tx: &mut Tx, order_id: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(REDEEM_AGAIN).bind(order_id).fetch_one(&mut *tx.statement("SELECT redeem again")).await
}

/// Gives an order's coupon back.
pub(crate) async fn give_coupon_back(tx: &mut Tx, order_id: i64) -> Result<(), sqlx::Error> {
    sqlx::query(GIVE_COUPON_BACK)
        .bind(order_id)
        .execute(&mut *tx.statement("SELECT unredeem"))
        .await
        .map(drop)
}
