//! How many products a list has, without ever counting them all.
//!
//! Counters kept by trigger know the totals of the whole catalog and of every category. What no
//! counter knows is counted up to a bound, and beyond it estimated from a sample of the table. A
//! category that is asked for is resolved in the same statement.

use rls::Tx;

use crate::domain::listing::{COUNT_MAX, CategoryKey, PriceRange, Visibility};

/// Rows that an estimate looks at: about 3 % off for a list of a fifth of the catalog.
const SAMPLE_ROWS: f64 = 5_000.0;

/// How many rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Total {
    Exactly(i64),
    About(i64),
}

/// A category with everything below it, and how many of the products asked for are in there.
#[derive(Debug)]
pub(crate) struct Scope {
    /// Root first, the category itself last.
    pub(crate) path: Vec<i64>,
    /// The category and its descendants.
    pub(crate) categories: Vec<i64>,
    pub(crate) total: Total,
}

/// What is counted beside the category.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) prices: PriceRange,
    pub(crate) words: Option<&'a str>,
    pub(crate) visibility: Visibility,
}

impl Counted<'_> {
    /// Nothing but a category, if at all: a counter knows.
    fn has_counter(&self) -> bool {
        self.prices == PriceRange::ALL && self.words.is_none()
    }
}

struct Count {
    counted: i64,
    estimated: Option<i64>,
}

impl From<Count> for Total {
    fn from(Count { counted, estimated }: Count) -> Self {
        match estimated {
            Some(estimated) => Total::About(estimated.max(counted)),
            None => Total::Exactly(counted),
        }
    }
}

struct ScopeRow {
    path: Vec<i64>,
    categories: Vec<i64>,
    counted: i64,
    estimated: Option<i64>,
}

impl From<ScopeRow> for Scope {
    fn from(row: ScopeRow) -> Self {
        let ScopeRow { path, categories, counted, estimated } = row;
        Self { path, categories, total: Count { counted, estimated }.into() }
    }
}

/// Counts the rows of `$from` up to a bound, else estimates by the rows of `products p` for which `$sample`.
macro_rules! count {
    ($tx:expr, $name:literal, from = $from:literal, sample = $sample:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            Count,
            r#"WITH bounded AS (SELECT count(*) AS rows FROM (SELECT FROM "# + $from + r#" LIMIT $2::bigint + 1) found),
                    sample  AS (SELECT least(100.0, 100.0 * $1::float8 / greatest(sum(active), 1)) AS percent
                                  FROM product_counts)
               SELECT bounded.rows AS "counted!",
                      CASE WHEN bounded.rows > $2
                           THEN (SELECT count(*) * 100.0 / (SELECT percent FROM sample)
                                   FROM products p TABLESAMPLE SYSTEM ((SELECT percent FROM sample)) REPEATABLE (1)
                                  WHERE "# + $sample + r#")::bigint
                      END AS "estimated?"
                 FROM bounded"#,
            SAMPLE_ROWS,
            COUNT_MAX,
            $($argument),*
        )
        .fetch_one(&mut *$tx.statement($name))
        .await
        .map(Total::from)
    };
}

/// The same within the category `$3` or `$4` and below it, whose ids are `scope.categories`.
macro_rules! count_in_category {
    ($tx:expr, $name:literal, from = $from:literal, sample = $sample:literal, $id:expr, $slug:expr, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            ScopeRow,
            r#"WITH scope AS MATERIALIZED (
                        SELECT c.path, ARRAY(SELECT s.id FROM categories s WHERE s.path @> ARRAY[c.id]) AS categories
                          FROM categories c
                         WHERE ($3::bigint IS NULL OR c.id = $3) AND ($4::text IS NULL OR c.slug = $4)),
                    bounded AS (SELECT count(*) AS rows
                                  FROM scope
                                 CROSS JOIN LATERAL (SELECT FROM "# + $from + r#" LIMIT $2::bigint + 1) found),
                    sample  AS (SELECT least(100.0, 100.0 * $1::float8 / greatest(sum(active), 1)) AS percent
                                  FROM product_counts)
               SELECT scope.path       AS "path!",
                      scope.categories AS "categories!",
                      bounded.rows     AS "counted!",
                      CASE WHEN bounded.rows > $2
                           THEN (SELECT count(*) * 100.0 / (SELECT percent FROM sample)
                                   FROM products p TABLESAMPLE SYSTEM ((SELECT percent FROM sample)) REPEATABLE (1)
                                  WHERE p.category_id = ANY (scope.categories) AND "# + $sample + r#")::bigint
                      END AS "estimated?"
                 FROM scope CROSS JOIN bounded"#,
            SAMPLE_ROWS,
            COUNT_MAX,
            $id as Option<i64>,
            $slug as Option<&str>,
            $($argument),*
        )
        .fetch_optional(&mut *$tx.statement($name))
        .await
        .map(|row| row.map(Scope::from))
    };
}

/// How many products of the whole catalog are meant.
pub(crate) async fn total(tx: &mut Tx, counted: Counted<'_>) -> Result<Total, sqlx::Error> {
    let PriceRange { min, max } = counted.prices;
    match (counted.visibility, counted.words) {
        (Visibility::Active, _) if counted.has_counter() => active(tx).await,
        (Visibility::Every, _) if counted.has_counter() => every(tx).await,
        (Visibility::Active, None) => count!(
            tx,
            "COUNT products by price",
            from = "products p WHERE p.is_active AND p.price_min_amount BETWEEN $3 AND $4",
            sample = "p.is_active AND p.price_min_amount BETWEEN $3 AND $4",
            min,
            max,
        ),
        (Visibility::Active, Some(words)) if counted.prices == PriceRange::ALL => count!(
            tx,
            "COUNT products with words",
            from = "catalog.matching(websearch_to_tsquery('app.mc_pt', $3)) id",
            sample = "p.is_active AND p.search_vector @@ websearch_to_tsquery('app.mc_pt', $3)",
            words,
        ),
        (Visibility::Active, Some(words)) => count!(
            tx,
            "COUNT products with words by price",
            from = "catalog.matching(websearch_to_tsquery('app.mc_pt', $5)) AS found (id)
                    JOIN products p ON p.id = found.id
                   WHERE p.is_active AND p.price_min_amount BETWEEN $3 AND $4",
            sample = "p.is_active AND p.price_min_amount BETWEEN $3 AND $4
                      AND p.search_vector @@ websearch_to_tsquery('app.mc_pt', $5)",
            min,
            max,
            words,
        ),
        (Visibility::Every, words) => count!(
            tx,
            "COUNT all products",
            from = "products p
                   WHERE p.price_min_amount BETWEEN $3 AND $4
                     AND ($5::text IS NULL OR p.search_vector @@ websearch_to_tsquery('app.mc_pt', $5))",
            sample = "p.price_min_amount BETWEEN $3 AND $4
                      AND ($5::text IS NULL OR p.search_vector @@ websearch_to_tsquery('app.mc_pt', $5))",
            min,
            max,
            words as Option<&str>,
        ),
    }
}

/// The category with how many products are meant in it and below it; none when there is no such category.
pub(crate) async fn scope(
    tx: &mut Tx,
    category: &CategoryKey,
    counted: Counted<'_>,
) -> Result<Option<Scope>, sqlx::Error> {
    let (id, slug) = (category.id().map(|id| id.get()), category.slug());
    let PriceRange { min, max } = counted.prices;
    match (counted.visibility, counted.words) {
        (Visibility::Active, _) if counted.has_counter() => active_in_category(tx, id, slug).await,
        (Visibility::Every, _) if counted.has_counter() => every_in_category(tx, id, slug).await,
        (Visibility::Active, None) => count_in_category!(
            tx,
            "COUNT products of a category by price",
            from = "products p
                   WHERE p.category_id = ANY (scope.categories)
                     AND p.is_active AND p.price_min_amount BETWEEN $5 AND $6",
            sample = "p.is_active AND p.price_min_amount BETWEEN $5 AND $6",
            id,
            slug,
            min,
            max,
        ),
        (Visibility::Active, Some(words)) => count_in_category!(
            tx,
            "COUNT products of a category with words",
            from = "catalog.matching(websearch_to_tsquery('app.mc_pt', $7)) AS found (id)
                    JOIN products p ON p.id = found.id
                   WHERE p.category_id = ANY (scope.categories)
                     AND p.is_active AND p.price_min_amount BETWEEN $5 AND $6",
            sample = "p.is_active AND p.price_min_amount BETWEEN $5 AND $6
                      AND p.search_vector @@ websearch_to_tsquery('app.mc_pt', $7)",
            id,
            slug,
            min,
            max,
            words,
        ),
        (Visibility::Every, words) => count_in_category!(
            tx,
            "COUNT all products of a category",
            from = "products p
                   WHERE p.category_id = ANY (scope.categories) AND p.price_min_amount BETWEEN $5 AND $6
                     AND ($7::text IS NULL OR p.search_vector @@ websearch_to_tsquery('app.mc_pt', $7))",
            sample = "p.price_min_amount BETWEEN $5 AND $6
                      AND ($7::text IS NULL OR p.search_vector @@ websearch_to_tsquery('app.mc_pt', $7))",
            id,
            slug,
            min,
            max,
            words as Option<&str>,
        ),
    }
}

async fn active(tx: &mut Tx) -> Result<Total, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT coalesce(sum(active), 0)::bigint AS "active!" FROM product_counts"#)
        .fetch_one(&mut *tx.statement("SELECT product_counts"))
        .await
        .map(Total::Exactly)
}

async fn every(tx: &mut Tx) -> Result<Total, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT coalesce(sum(every), 0)::bigint AS "every!" FROM product_counts"#)
        .fetch_one(&mut *tx.statement("SELECT product_counts"))
        .await
        .map(Total::Exactly)
}

async fn active_in_category(
    tx: &mut Tx,
    id: Option<i64>,
    slug: Option<&str>,
) -> Result<Option<Scope>, sqlx::Error> {
    let row = sqlx::query_as!(
        ScopeRow,
        r#"SELECT c.path                                AS "path!",
                  array_agg(s.id)                       AS "categories!",
                  coalesce(sum(counts.active), 0)::bigint AS "counted!",
                  NULL::bigint                          AS "estimated?"
             FROM categories c
             JOIN categories s ON s.path @> ARRAY[c.id]
             LEFT JOIN product_counts counts ON counts.category_id = s.id
            WHERE ($1::bigint IS NULL OR c.id = $1) AND ($2::text IS NULL OR c.slug = $2)
            GROUP BY c.id"#,
        id,
        slug,
    )
    .fetch_optional(&mut *tx.statement("SELECT categories with counts"))
    .await?;
    Ok(row.map(Scope::from))
}

async fn every_in_category(
    tx: &mut Tx,
    id: Option<i64>,
    slug: Option<&str>,
) -> Result<Option<Scope>, sqlx::Error> {
    let row = sqlx::query_as!(
        ScopeRow,
        r#"SELECT c.path                               AS "path!",
                  array_agg(s.id)                      AS "categories!",
                  coalesce(sum(counts.every), 0)::bigint AS "counted!",
                  NULL::bigint                         AS "estimated?"
             FROM categories c
             JOIN categories s ON s.path @> ARRAY[c.id]
             LEFT JOIN product_counts counts ON counts.category_id = s.id
            WHERE ($1::bigint IS NULL OR c.id = $1) AND ($2::text IS NULL OR c.slug = $2)
            GROUP BY c.id"#,
        id,
        slug,
    )
    .fetch_optional(&mut *tx.statement("SELECT categories with counts"))
    .await?;
    Ok(row.map(Scope::from))
}
