//! Base prices of variants, and what they were.

use rls::Tx;
use time::OffsetDateTime;

use crate::domain::price::Price;
use crate::domain::{ProductId, VariantId};
use crate::store::BASE_PRICE_LIST_ID;

/// What a variant costs now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentPrice {
    pub(crate) variant_id: i64,
    pub(crate) price: Price,
}

/// A price that became another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChangedPrice {
    pub(crate) variant: VariantId,
    pub(crate) old: Price,
    pub(crate) new: Price,
}

/// The base prices of a product's active variants.
pub(crate) async fn current(tx: &mut Tx, product: ProductId) -> Result<Vec<CurrentPrice>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT v.id,
                  p.amount            AS "amount!: i64",
                  p.compare_at_amount AS "compare_at_amount?: i64"
             FROM variants v
             JOIN prices p ON p.variant_id = v.id
                          AND p.price_list_id = $2 AND p.currency = 'BRL' AND p.min_quantity = 1
            WHERE v.product_id = $1 AND v.is_active
            ORDER BY v.id"#,
        product.get(),
        BASE_PRICE_LIST_ID,
    )
    .fetch_all(&mut *tx.statement("SELECT prices"))
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| CurrentPrice {
            variant_id: row.id,
            price: Price { amount: row.amount, compare_at: row.compare_at_amount },
        })
        .collect())
}

/// Writes the prices and counts the versions of their variants up; answers those by variant.
pub(crate) async fn write(tx: &mut Tx, changes: &[ChangedPrice]) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    let (variants, amounts, compare_ats) = columns(changes);
    let rows = sqlx::query!(
        r#"WITH given AS (
                SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
                           AS row (variant_id, amount, compare_at_amount)),
           priced AS (
                UPDATE prices
                   SET amount = given.amount, compare_at_amount = given.compare_at_amount
                  FROM given
                 WHERE prices.variant_id = given.variant_id
                   AND price_list_id = $4 AND currency = 'BRL' AND min_quantity = 1)
           UPDATE variants
              SET version = version + 1
            WHERE id = ANY ($1)
           RETURNING id, version"#,
        &variants,
        &amounts,
        &compare_ats as &[Option<i64>],
        BASE_PRICE_LIST_ID,
    )
    .fetch_all(&mut *tx.statement("UPDATE prices"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.version)).collect())
}

/// Ends what is valid now and begins the new prices there: at `now`, but never before the old price
/// began, because clocks of two writers may differ.
pub(crate) async fn write_history(
    tx: &mut Tx,
    changes: &[ChangedPrice],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (variants, amounts, _) = columns(changes);
    sqlx::query!(
        r#"WITH given AS (
                SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS row (variant_id, amount)),
           current AS (
                SELECT variant_id, greatest(lower(valid), $3::timestamptz) AS until
                  FROM price_history
                 WHERE variant_id = ANY ($1) AND currency = 'BRL' AND upper_inf(valid)),
           ended AS (
                UPDATE price_history
                   SET valid = tstzrange(lower(valid), current.until)
                  FROM current
                 WHERE price_history.variant_id = current.variant_id AND currency = 'BRL' AND upper_inf(valid)
                RETURNING current.variant_id, current.until)
           INSERT INTO price_history (variant_id, currency, amount, valid)
           SELECT given.variant_id, 'BRL', given.amount, tstzrange(coalesce(ended.until, $3), NULL)
             FROM given
             LEFT JOIN ended ON ended.variant_id = given.variant_id"#,
        &variants,
        &amounts,
        now,
    )
    .execute(&mut *tx.statement("UPDATE price_history"))
    .await?;
    Ok(())
}

/// Works out a locked product's lowest and highest price anew and counts its version up.
pub(crate) async fn refresh_product(
    tx: &mut Tx,
    product: ProductId,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"WITH priced AS (
                SELECT p.amount, p.compare_at_amount
                  FROM variants v
                  JOIN prices p ON p.variant_id = v.id
                               AND p.price_list_id = $2 AND p.currency = 'BRL' AND p.min_quantity = 1
                 WHERE v.product_id = $1 AND v.is_active
                 ORDER BY p.amount, v.position, v.id)
           UPDATE products
              SET price_min_amount  = (SELECT amount FROM priced LIMIT 1),
                  compare_at_amount = (SELECT compare_at_amount FROM priced LIMIT 1),
                  price_max_amount  = (SELECT max(amount) FROM priced),
                  updated_at = $3,
                  version = version + 1
            WHERE id = $1
           RETURNING version"#,
        product.get(),
        BASE_PRICE_LIST_ID,
        now,
    )
    .fetch_one(&mut *tx.statement("UPDATE products"))
    .await
}

fn columns(changes: &[ChangedPrice]) -> (Vec<i64>, Vec<i64>, Vec<Option<i64>>) {
    (
        changes.iter().map(|change| change.variant.get()).collect(),
        changes.iter().map(|change| change.new.amount).collect(),
        changes.iter().map(|change| change.new.compare_at).collect(),
    )
}
