//! Categories and their tree.

use rls::Tx;

use crate::domain::CategoryId;
use crate::domain::category::Category;

/// A tree of this size still fits on one page of anything; more are not answered.
const CATEGORIES_MAX: i64 = 10_000;

/// All active categories; parents before their children, siblings by position.
pub(crate) async fn active(tx: &mut Tx) -> Result<Vec<Category>, sqlx::Error> {
    sqlx::query_as!(
        Category,
        r#"SELECT c.id, c.parent_id, c.path, c.name, c.slug, c.position, c.version,
                  coalesce(counts.active, 0) AS "products!"
             FROM categories c
             LEFT JOIN product_counts counts ON counts.category_id = c.id
            WHERE c.is_active
            ORDER BY cardinality(c.path), c.position, c.id
            LIMIT $1"#,
        CATEGORIES_MAX,
    )
    .fetch_all(&mut *tx.statement("SELECT categories"))
    .await
}

/// One category, its ancestors and everything below it, in the same order; empty without it.
pub(crate) async fn around(tx: &mut Tx, id: CategoryId) -> Result<Vec<Category>, sqlx::Error> {
    sqlx::query_as!(
        Category,
        r#"SELECT c.id, c.parent_id, c.path, c.name, c.slug, c.position, c.version,
                  coalesce(counts.active, 0) AS "products!"
             FROM categories center
             JOIN categories c ON c.path @> ARRAY[center.id] OR c.id = ANY (center.path)
             LEFT JOIN product_counts counts ON counts.category_id = c.id
            WHERE center.id = $1 AND center.is_active AND c.is_active
            ORDER BY cardinality(c.path), c.position, c.id
            LIMIT $2"#,
        id.get(),
        CATEGORIES_MAX,
    )
    .fetch_all(&mut *tx.statement("SELECT category"))
    .await
}

/// The way from the root to a category, both included; none when there is no such category.
pub(crate) async fn path(tx: &mut Tx, id: CategoryId) -> Result<Option<Vec<i64>>, sqlx::Error> {
    sqlx::query_scalar!("SELECT path FROM categories WHERE id = $1", id.get())
        .fetch_optional(&mut *tx.statement("SELECT category path"))
        .await
}
