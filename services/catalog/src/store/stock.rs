//! Stock bands, as orders tells them.

use rls::Tx;
use time::OffsetDateTime;

use crate::domain::{ProductId, StockBand, VariantId};

/// What a product shows after one of its variants changed its band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) version: i64,
    /// Whether the product itself has another band than before.
    pub(crate) band_changed: bool,
}

/// Sets a variant's band; answers whether buyers see another one than before. A change that is older than the last
/// one heard changes nothing.
pub(crate) async fn set_band(
    tx: &mut Tx,
    product: ProductId,
    variant: VariantId,
    band: StockBand,
    version: i64,
) -> Result<bool, sqlx::Error> {
    let differs = sqlx::query_scalar!(
        r#"WITH heard AS (
                SELECT id, stock_band, is_active FROM variants
                 WHERE id = $1 AND product_id = $2 AND stock_band_version < $4)
           UPDATE variants
              SET stock_band = $3, stock_band_version = $4
             FROM heard
            WHERE variants.id = heard.id
           RETURNING heard.is_active AND heard.stock_band <> $3 AS "differs!""#,
        variant.get(),
        product.get(),
        band.as_str(),
        version,
    )
    .fetch_optional(&mut *tx.statement("UPDATE variants"))
    .await?;
    Ok(differs.unwrap_or(false))
}

/// Works out a locked product's band anew, the best of its active variants, and counts its version up.
pub(crate) async fn refresh_product(
    tx: &mut Tx,
    product: ProductId,
    now: OffsetDateTime,
) -> Result<Shown, sqlx::Error> {
    sqlx::query_as!(
        Shown,
        r#"WITH old AS (
                SELECT p.stock_band,
                       CASE WHEN bool_or(v.stock_band = 'in')  THEN 'in'
                            WHEN bool_or(v.stock_band = 'low') THEN 'low'
                            ELSE 'out' END AS best
                  FROM products p
                  LEFT JOIN variants v ON v.product_id = p.id AND v.is_active
                 WHERE p.id = $1
                 GROUP BY p.id)
           UPDATE products
              SET stock_band = old.best, updated_at = $2, version = version + 1
             FROM old
            WHERE id = $1
           RETURNING version, old.stock_band <> old.best AS "band_changed!""#,
        product.get(),
        now,
    )
    .fetch_one(&mut *tx.statement("UPDATE products"))
    .await
}
