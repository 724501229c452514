//! How many products a list has, without ever counting them all.
//!
//! Counters kept by trigger know the totals of the whole catalog and of every category. What no
//! counter knows is counted up to a bound, and beyond it estimated from a sample of the table. A
//! category that is asked for is resolved in the same statement, and so is whether words are common.

use rls::Tx;

use crate::domain::listing::{COUNT_MAX, CategoryKey, Count, Frequency, PriceRange, RARE_MAX, Visibility};

/// Rows that an estimate looks at: about 5 % off for a list of a fifth of the catalog.
const SAMPLE_ROWS: f64 = 2_500.0;

/// What is counted beside the category.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) prices: PriceRange,
    pub(crate) words: Option<&'a str>,
    pub(crate) visibility: Visibility,
    /// When skipped, the total in the answer means nothing, and costs little.
    pub(crate) count: Count,
}

/// How many rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Total {
    Exactly(i64),
    About(i64),
}

/// How many products are meant, and how many hold the words; without words, none are common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Totals {
    pub(crate) total: Total,
    pub(crate) frequency: Frequency,
}

/// A category with everything below it, and what is meant in there.
#[derive(Debug)]
pub(crate) struct Scope {
    /// Root first, the category itself last.
    pub(crate) path: Vec<i64>,
    /// The category and its descendants.
    pub(crate) categories: Vec<i64>,
    pub(crate) totals: Totals,
}

impl Question<'_> {
    /// Nothing but a category, if at all: a counter knows.
    fn has_counter(&self) -> bool {
        self.words.is_none() && (self.prices == PriceRange::ALL || self.count == Count::Skipped)
    }

    fn count_max(&self) -> i64 {
        match self.count {
            Count::Wanted => COUNT_MAX,
            Count::Skipped => 0,
        }
    }

    fn sample_rows(&self) -> f64 {
        match self.count {
            Count::Wanted => SAMPLE_ROWS,
            Count::Skipped => 0.0,
        }
    }
}

struct TotalsRow {
    counted: i64,
    estimated: Option<i64>,
    is_common: bool,
}

impl From<TotalsRow> for Totals {
    fn from(TotalsRow { counted, estimated, is_common }: TotalsRow) -> Self {
        let total = match estimated {
            Some(estimated) => Total::About(estimated.max(counted)),
            None => Total::Exactly(counted),
        };
        Self { total, frequency: if is_common { Frequency::Common } else { Frequency::Rare } }
    }
}

struct ScopeRow {
    path: Vec<i64>,
    categories: Vec<i64>,
    counted: i64,
    estimated: Option<i64>,
    is_common: bool,
}

impl From<ScopeRow> for Scope {
    fn from(row: ScopeRow) -> Self {
        let ScopeRow { path, categories, counted, estimated, is_common } = row;
        Self { path, categories, totals: TotalsRow { counted, estimated, is_common }.into() }
    }
}

/// Counts products `p` up to a bound, else estimates how many there are for which `$meant`.
///
/// `$rows` selects them; where it says `found`, that is what holds the words: `$found`.
macro_rules! count {
    (
        $tx:expr, $question:expr, $name:literal, counter = $counter:literal,
        found = $found:literal, rows = [$($rows:literal)+], meant = [$($meant:literal)+], $($argument:expr),* $(,)?
    ) => {
        sqlx::query_as!(
            TotalsRow,
            r#"WITH found   AS MATERIALIZED ("# + $found + r#"),
                    bounded AS MATERIALIZED (SELECT ("# + $($rows +)+ r#") AS rows),
                    sample  AS (SELECT sum("# + $counter + r#") AS rows,
                                       least(100.0, 100.0 * $1::float8 / greatest(sum(active), 1)) AS percent
                                  FROM product_counts)
               SELECT bounded.rows                        AS "counted!",
                      CASE WHEN bounded.rows > $2::bigint AND $1 > 0
                           THEN (SELECT least(count(*) * 100.0 / (SELECT percent FROM sample),
                                              (SELECT rows FROM sample))
                                   FROM products p TABLESAMPLE SYSTEM ((SELECT percent FROM sample)) REPEATABLE (1)
                                  WHERE "# + $($meant +)+ r#")::bigint
                      END                                 AS "estimated?",
                      (SELECT count(*) FROM found) > $3::bigint AS "is_common!"
                 FROM bounded"#,
            $question.sample_rows(),
            $question.count_max(),
            RARE_MAX,
            $question.prices.min,
            $question.prices.max,
            $($argument),*
        )
        .fetch_one(&mut *$tx.statement($name))
        .await
        .map(Totals::from)
    };
}

/// The same within category `$6` or `$7` and below it, whose ids are `scope.categories`.
macro_rules! count_in_category {
    (
        $tx:expr, $question:expr, $category:expr, $name:literal, counter = $counter:literal,
        found = $found:literal, rows = [$($rows:literal)+], meant = [$($meant:literal)+], $($argument:expr),* $(,)?
    ) => {
        sqlx::query_as!(
            ScopeRow,
            r#"WITH found   AS MATERIALIZED ("# + $found + r#"),
                    scope   AS MATERIALIZED (
                        SELECT c.path, ARRAY(SELECT s.id FROM categories s WHERE s.path @> ARRAY[c.id]) AS categories
                          FROM categories c
                         WHERE ($6::bigint IS NULL OR c.id = $6) AND ($7::text IS NULL OR c.slug = $7)),
                    bounded AS MATERIALIZED (SELECT ("# + $($rows +)+ r#") AS rows FROM scope),
                    sample  AS (SELECT sum("# + $counter + r#") AS rows,
                                       least(100.0, 100.0 * $1::float8 / greatest(sum(active), 1)) AS percent
                                  FROM product_counts)
               SELECT scope.path                          AS "path!",
                      scope.categories                    AS "categories!",
                      bounded.rows                        AS "counted!",
                      CASE WHEN bounded.rows > $2::bigint AND $1 > 0
                           THEN (SELECT least(count(*) * 100.0 / (SELECT percent FROM sample),
                                              (SELECT rows FROM sample))
                                   FROM products p TABLESAMPLE SYSTEM ((SELECT percent FROM sample)) REPEATABLE (1)
                                  WHERE p.category_id = ANY (scope.categories) AND "# + $($meant +)+ r#")::bigint
                      END                                 AS "estimated?",
                      (SELECT count(*) FROM found) > $3::bigint AS "is_common!"
                 FROM scope CROSS JOIN bounded"#,
            $question.sample_rows(),
            $question.count_max(),
            RARE_MAX,
            $question.prices.min,
            $question.prices.max,
            $category.id().map(|id| id.get()) as Option<i64>,
            $category.slug() as Option<&str>,
            $($argument),*
        )
        .fetch_optional(&mut *$tx.statement($name))
        .await
        .map(|row| row.map(Scope::from))
    };
}

/// How many products of the whole catalog are meant.
pub(crate) async fn total(tx: &mut Tx, question: Question<'_>) -> Result<Totals, sqlx::Error> {
    match (question.visibility, question.words) {
        (Visibility::Active, None) if question.has_counter() => active(tx).await,
        (Visibility::Every, None) if question.has_counter() => every(tx).await,
        (Visibility::Active, None) => count!(
            tx,
            question,
            "COUNT products by price",
            counter = "active",
            found = "SELECT NULL::bigint AS id WHERE false",
            rows = [
                "SELECT count(*)
                   FROM (SELECT FROM products p
                          WHERE p.is_active AND p.price_min_amount BETWEEN $4 AND $5 LIMIT $2::bigint + 1) counted"
            ],
            meant = ["p.is_active AND p.price_min_amount BETWEEN $4 AND $5"],
        ),
        // Fetching what the index of words names is cheaper than reading words until there are enough.
        (Visibility::Active, Some(words)) if question.prices == PriceRange::ALL => count!(
            tx,
            question,
            "COUNT products with words",
            counter = "active",
            found = "SELECT id
                       FROM catalog.matching(websearch_to_tsquery('app.mc_pt', $6),
                                             greatest($2::bigint, $3::bigint) + 1) AS words (id)",
            rows = ["SELECT count(*) FROM found WHERE $4::bigint <= $5::bigint"],
            meant = ["p.is_active AND p.search_vector @@ websearch_to_tsquery('app.mc_pt', $6)"],
            words,
        ),
        (Visibility::Active, Some(words)) => count!(
            tx,
            question,
            "COUNT products with words by price",
            counter = "active",
            found = "SELECT id FROM catalog.matching(websearch_to_tsquery('app.mc_pt', $6), $3::bigint + 1) AS words (id)",
            rows = [
                "CASE WHEN (SELECT count(*) FROM found) > $3
                      THEN (SELECT count(*)
                              FROM (SELECT FROM products p
                                     WHERE p.is_active AND p.price_min_amount BETWEEN $4 AND $5
                                       AND (p.search_vector @@ websearch_to_tsquery('app.mc_pt', $6)) IS TRUE
                                     LIMIT $2::bigint + 1) counted)
                      ELSE (SELECT count(*)
                              FROM found JOIN products p ON p.id = found.id
                             WHERE p.is_active AND p.price_min_amount BETWEEN $4 AND $5)
                  END"
            ],
            meant = [
                "p.is_active AND p.price_min_amount BETWEEN $4 AND $5
                 AND p.search_vector @@ websearch_to_tsquery('app.mc_pt', $6)"
            ],
            words,
        ),
        (Visibility::Every, words) => count!(
            tx,
            question,
            "COUNT all products",
            counter = "every",
            found = "SELECT id FROM catalog.matching(websearch_to_tsquery('app.mc_pt', $6), $3::bigint + 1) AS words (id)",
            rows = [
                "SELECT count(*)
                   FROM (SELECT FROM products p
                          WHERE p.price_min_amount BETWEEN $4 AND $5
                            AND ($6::text IS NULL OR p.search_vector @@ websearch_to_tsquery('app.mc_pt', $6))
                          LIMIT $2::bigint + 1) counted"
            ],
            meant = [
                "p.price_min_amount BETWEEN $4 AND $5
                 AND ($6::text IS NULL OR p.search_vector @@ websearch_to_tsquery('app.mc_pt', $6))"
            ],
            words as Option<&str>,
        ),
    }
}

/// The category with how many products are meant in it and below it; none when there is no such category.
pub(crate) async fn scope(
    tx: &mut Tx,
    category: &CategoryKey,
    question: Question<'_>,
) -> Result<Option<Scope>, sqlx::Error> {
    match (question.visibility, question.words) {
        (Visibility::Active, None) if question.has_counter() => active_in_category(tx, category).await,
        (Visibility::Every, None) if question.has_counter() => every_in_category(tx, category).await,
        (Visibility::Active, None) => count_in_category!(
            tx,
            question,
            category,
            "COUNT products of a category by price",
            counter = "active",
            found = "SELECT NULL::bigint AS id WHERE false",
            rows = [
                "SELECT count(*)
                   FROM (SELECT FROM products p
                          WHERE p.category_id = ANY (scope.categories)
                            AND p.is_active AND p.price_min_amount BETWEEN $4 AND $5
                          LIMIT $2::bigint + 1) counted"
            ],
            meant = ["p.is_active AND p.price_min_amount BETWEEN $4 AND $5"],
        ),
        (Visibility::Active, Some(words)) => count_in_category!(
            tx,
            question,
            category,
            "COUNT products of a category with words",
            counter = "active",
            found = "SELECT id FROM catalog.matching(websearch_to_tsquery('app.mc_pt', $8), $3::bigint + 1) AS words (id)",
            rows = [
                "CASE WHEN (SELECT count(*) FROM found) > $3
                      THEN (SELECT count(*)
                              FROM (SELECT FROM products p
                                     WHERE p.category_id = ANY (scope.categories)
                                       AND p.is_active AND p.price_min_amount BETWEEN $4 AND $5
                                       AND (p.search_vector @@ websearch_to_tsquery('app.mc_pt', $8)) IS TRUE
                                     LIMIT $2::bigint + 1) counted)
                      ELSE (SELECT count(*)
                              FROM found JOIN products p ON p.id = found.id
                             WHERE p.category_id = ANY (scope.categories)
                               AND p.is_active AND p.price_min_amount BETWEEN $4 AND $5)
                  END"
            ],
            meant = [
                "p.is_active AND p.price_min_amount BETWEEN $4 AND $5
                 AND p.search_vector @@ websearch_to_tsquery('app.mc_pt', $8)"
            ],
            words,
        ),
        (Visibility::Every, words) => count_in_category!(
            tx,
            question,
            category,
            "COUNT all products of a category",
            counter = "every",
            found = "SELECT id FROM catalog.matching(websearch_to_tsquery('app.mc_pt', $8), $3::bigint + 1) AS words (id)",
            rows = [
                "SELECT count(*)
                   FROM (SELECT FROM products p
                          WHERE p.category_id = ANY (scope.categories) AND p.price_min_amount BETWEEN $4 AND $5
                            AND ($8::text IS NULL OR p.search_vector @@ websearch_to_tsquery('app.mc_pt', $8))
                          LIMIT $2::bigint + 1) counted"
            ],
            meant = [
                "p.price_min_amount BETWEEN $4 AND $5
                 AND ($8::text IS NULL OR p.search_vector @@ websearch_to_tsquery('app.mc_pt', $8))"
            ],
            words as Option<&str>,
        ),
    }
}

fn exactly(rows: i64) -> Totals {
    Totals { total: Total::Exactly(rows), frequency: Frequency::Rare }
}

async fn active(tx: &mut Tx) -> Result<Totals, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT coalesce(sum(active), 0)::bigint AS "active!" FROM product_counts"#)
        .fetch_one(&mut *tx.statement("SELECT product_counts"))
        .await
        .map(exactly)
}

async fn every(tx: &mut Tx) -> Result<Totals, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT coalesce(sum(every), 0)::bigint AS "every!" FROM product_counts"#)
        .fetch_one(&mut *tx.statement("SELECT product_counts"))
        .await
        .map(exactly)
}

async fn active_in_category(tx: &mut Tx, category: &CategoryKey) -> Result<Option<Scope>, sqlx::Error> {
    let row = sqlx::query_as!(
        ScopeRow,
        r#"SELECT c.path                                  AS "path!",
                  array_agg(s.id)                         AS "categories!",
                  coalesce(sum(counts.active), 0)::bigint AS "counted!",
                  NULL::bigint                            AS "estimated?",
                  false                                   AS "is_common!"
             FROM categories c
             JOIN categories s ON s.path @> ARRAY[c.id]
             LEFT JOIN product_counts counts ON counts.category_id = s.id
            WHERE ($1::bigint IS NULL OR c.id = $1) AND ($2::text IS NULL OR c.slug = $2)
            GROUP BY c.id"#,
        category.id().map(|id| id.get()),
        category.slug(),
    )
    .fetch_optional(&mut *tx.statement("SELECT categories with counts"))
    .await?;
    Ok(row.map(Scope::from))
}

async fn every_in_category(tx: &mut Tx, category: &CategoryKey) -> Result<Option<Scope>, sqlx::Error> {
    let row = sqlx::query_as!(
        ScopeRow,
        r#"SELECT c.path                                 AS "path!",
                  array_agg(s.id)                        AS "categories!",
                  coalesce(sum(counts.every), 0)::bigint AS "counted!",
                  NULL::bigint                           AS "estimated?",
                  false                                  AS "is_common!"
             FROM categories c
             JOIN categories s ON s.path @> ARRAY[c.id]
             LEFT JOIN product_counts counts ON counts.category_id = s.id
            WHERE ($1::bigint IS NULL OR c.id = $1) AND ($2::text IS NULL OR c.slug = $2)
            GROUP BY c.id"#,
        category.id().map(|id| id.get()),
        category.slug(),
    )
    .fetch_optional(&mut *tx.statement("SELECT categories with counts"))
    .await?;
    Ok(row.map(Scope::from))
}
