//! What an order holds: goods, and a coupon. The caller has made or locked the order.

use rls::Tx;

use super::payments::stock::StockChange;
use crate::domain::OrderId;

rls::statements! {
    /// Promises goods to an order for so many seconds, all or none.
    RESERVE =
        "SELECT variant_id, product_id, on_hand, reserved, version, old_band, band, band_version
           FROM reserve($1, $2, $3, make_interval(secs => $4))";

    /// Gives some of an order's goods back.
    GIVE_BACK_UNITS =
        "SELECT variant_id, product_id, on_hand, reserved, version, old_band, band, band_version
           FROM give_back($1, $2, $3)";

    /// Uses a coupon up for an order.
    REDEEM = "SELECT redeem($1::text::citext, $2, $3)";
}

/// Promises goods to an order. SQLSTATE MC409 when there are not so many left.
pub(crate) async fn reserve(
    tx: &mut Tx,
    id: OrderId,
    variants: &[i64],
    quantities: &[i32],
    seconds: f64,
) -> Result<Vec<StockChange>, sqlx::Error> {
    sqlx::query_as(RESERVE)
        .bind(id.get())
        .bind(variants)
        .bind(quantities)
        .bind(seconds)
        .fetch_all(&mut *tx.statement("SELECT reserve"))
        .await
}

/// Gives units of an order back, whether they were held or taken: variant and quantity.
pub(crate) async fn give_back(
    tx: &mut Tx,
    id: OrderId,
    units: &[(i64, i32)],
) -> Result<Vec<StockChange>, sqlx::Error> {
    let (variants, quantities): (Vec<i64>, Vec<i32>) = units.iter().copied().unzip();
    sqlx::query_as(GIVE_BACK_UNITS)
        .bind(id.get())
        .bind(variants)
        .bind(quantities)
        .fetch_all(&mut *tx.statement("SELECT give_back units"))
        .await
}

/// Uses a coupon up for an order. SQLSTATE MC410 when it cannot be.
pub(crate) async fn redeem(
    tx: &mut Tx,
    id: OrderId,
    code: &str,
    customer_key: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(REDEEM)
        .bind(code)
        .bind(id.get())
        .bind(customer_key)
        .execute(&mut *tx.statement("SELECT redeem"))
        .await
        .map(drop)
}
