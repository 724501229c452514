//! What variants are and cost, many at once.

use rls::Tx;

use crate::domain::quote::{Quote, Quoted};
use crate::store::BASE_PRICE_LIST_ID;

/// The variants asked about that there are, ascending: one statement, hence one moment.
pub(crate) async fn quotes(tx: &mut Tx, quoted: &Quoted) -> Result<Vec<Quote>, sqlx::Error> {
    sqlx::query_as!(
        Quote,
        r#"SELECT v.id                         AS variant_id,
                  p.id                         AS product_id,
                  p.slug                       AS product_slug,
                  p.name                       AS product_name,
                  v.name                       AS variant_name,
                  v.sku,
                  base.amount                  AS "unit_amount!: i64",
                  base.currency                AS "currency!: String",
                  v.weight_g,
                  picture.url                  AS "image_url?",
                  (p.is_active AND v.is_active) AS "is_active!",
                  p.version                    AS product_version
             FROM variants v
             JOIN products p ON p.id = v.product_id
             JOIN prices base ON base.variant_id = v.id
                             AND base.price_list_id = $2 AND base.currency = 'BRL' AND base.min_quantity = 1
             LEFT JOIN LATERAL (
                  SELECT i.url FROM images i
                   WHERE i.product_id = p.id
                   ORDER BY i.variant_id IS DISTINCT FROM v.id, i.position
                   LIMIT 1) picture ON true
            WHERE v.id = ANY ($1)
            ORDER BY v.id"#,
        quoted.ids(),
        BASE_PRICE_LIST_ID,
    )
    .fetch_all(&mut *tx.statement("SELECT quotes"))
    .await
}
