//! Sold quantities, and the popularity that they add up to.

use rls::Tx;
use time::OffsetDateTime;

use crate::domain::ProductId;

/// As many as the longest shelf shows.
const FEATURED_MAX: i64 = 50;
/// Whoever holds this lock counts; any number that no other lock of this database has.
const TURN: i64 = 0x706f_7075_6c61_7269;

/// Puts sold quantities down to be counted, one for each product.
pub(crate) async fn put_down(tx: &mut Tx, products: &[i64], quantities: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO popularity_pending (product_id, quantity)
         SELECT product_id, quantity FROM unnest($1::bigint[], $2::bigint[]) AS sold (product_id, quantity)",
        products,
        quantities,
    )
    .execute(&mut *tx.statement("INSERT popularity_pending"))
    .await?;
    Ok(())
}

/// Whether there is something to count and this transaction may, and nobody else until it ends.
pub(crate) async fn is_my_turn(tx: &mut Tx) -> Result<bool, sqlx::Error> {
    let mine = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock($1) AS "mine!" FROM popularity_pending LIMIT 1"#,
        TURN,
    )
    .fetch_optional(&mut *tx.statement("SELECT turn to count"))
    .await?;
    Ok(mine.unwrap_or(false))
}

/// Counts up to `limit` quantities into their products; answers how many. Of products that are gone, none.
pub(crate) async fn count(tx: &mut Tx, limit: i64) -> Result<u64, sqlx::Error> {
    let counted = sqlx::query_scalar!(
        r#"WITH taken AS (
                DELETE FROM popularity_pending
                 WHERE id IN (SELECT id FROM popularity_pending ORDER BY id LIMIT $1)
                RETURNING product_id, quantity),
           sold AS (
                SELECT product_id, sum(quantity)::bigint AS quantity FROM taken GROUP BY product_id),
           locked AS (
                SELECT p.id FROM products p JOIN sold ON sold.product_id = p.id ORDER BY p.id FOR UPDATE OF p),
           counted AS (
                UPDATE products
                   SET popularity = popularity + sold.quantity
                  FROM sold JOIN locked ON locked.id = sold.product_id
                 WHERE products.id = locked.id)
           SELECT count(*) AS "taken!" FROM taken"#,
        limit,
    )
    .fetch_one(&mut *tx.statement("UPDATE popularity"))
    .await?;
    Ok(counted.unsigned_abs())
}

/// The featured products in their order, as many as a shelf may show.
pub(crate) async fn featured(tx: &mut Tx) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT id FROM products WHERE is_active AND is_featured ORDER BY popularity DESC, id DESC LIMIT $1",
        FEATURED_MAX,
    )
    .fetch_all(&mut *tx.statement("SELECT featured"))
    .await
}

/// Counts a locked product's version up; answers the new one.
pub(crate) async fn touch(tx: &mut Tx, product: ProductId, now: OffsetDateTime) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "UPDATE products SET updated_at = $2, version = version + 1 WHERE id = $1 RETURNING version",
        product.get(),
        now,
    )
    .fetch_one(&mut *tx.statement("UPDATE products"))
    .await
}
