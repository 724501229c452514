//! Loading the demo shop's stock.

use rls::Tx;

use crate::seed::Stock;

rls::statements! {
    /// Makes levels where there are none, and writes down where the goods came from.
    SEED_STOCK =
        "WITH made AS (
             INSERT INTO stock_levels (variant_id, product_id, on_hand)
             SELECT u.variant_id, u.product_id, u.on_hand
               FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS u (variant_id, product_id, on_hand)
              ORDER BY u.variant_id
             ON CONFLICT (variant_id, location_id) DO NOTHING
             RETURNING variant_id, location_id, on_hand)
         INSERT INTO stock_movements (variant_id, location_id, kind, on_hand_delta, ref, reason)
         SELECT m.variant_id, m.location_id, 'receive', m.on_hand, 'seed', 'estoque inicial' FROM made m";
}

/// Makes the levels that are not there yet; answers how many those were.
pub(crate) async fn stock(tx: &mut Tx, levels: &[Stock]) -> Result<u64, sqlx::Error> {
    let (mut variants, mut products, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for level in levels {
        variants.push(level.variant_id);
        products.push(level.product_id);
        counts.push(level.on_hand);
    }
    let made = sqlx::query(SEED_STOCK)
        .bind(variants)
        .bind(products)
        .bind(counts)
        .execute(&mut *tx.statement("INSERT seed stock"))
        .await?;
    Ok(made.rows_affected())
}
