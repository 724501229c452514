//! One statement per sort and source, so that each walks the index that is made for it and stops after the last row it
//! needs. Bounds are always given, open ends as values that lie beyond every row: a condition that may be absent
//! (`$1 IS NULL OR ...`) would keep the planner from the index.

use rls::Tx;

use super::Slice;
use super::row::Row;
use crate::domain::listing::{Order, RARE_MAX, ShelfSize, SortBy};

/// Products that a lookup may find: room for words that became common since a list was begun.
const LOOKUP_MAX: i64 = 2 * RARE_MAX;

/// The products `p` that `$rows` selects, in `$order`, as the columns of `Row`.
macro_rules! listed {
    ($tx:expr, $name:expr, [$($rows:literal)+], order = $order:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT p.id                         AS "id!",
                      p.slug                       AS "slug!",
                      p.name                       AS "name!",
                      p.name_norm                  AS "name_norm!",
                      p.popularity                 AS "popularity!",
                      p.rank                       AS "rank?",
                      p.price_min_amount           AS "price_min_amount!: i64",
                      p.compare_at_amount          AS "compare_at_amount?: i64",
                      p.currency                   AS "currency!: String",
                      p.stock_band                 AS "stock_band!",
                      p.rating_sum                 AS "rating_sum!",
                      p.rating_count               AS "rating_count!",
                      p.is_featured                AS "is_featured!",
                      p.is_active                  AS "is_active!",
                      p.version                    AS "version!",
                      p.created_at                 AS "created_at!",
                      p.origin                     AS "origin?",
                      p.roast                      AS "roast?",
                      p.process                    AS "process?",
                      (p.sca_score * 10)::int      AS "sca_score_tenths?",
                      c.id                         AS "category_id?",
                      c.name                       AS "category_name?",
                      c.slug                       AS "category_slug?",
                      i.id                         AS "image_id?",
                      i.url                        AS "image_url?",
                      i.width                      AS "image_width?",
                      i.height                     AS "image_height?",
                      i.alt                        AS "image_alt?"
                 FROM ("# + $($rows +)+ r#") p
                 LEFT JOIN categories c ON c.id = p.category_id
                 LEFT JOIN LATERAL (SELECT * FROM images
                                     WHERE images.product_id = p.id
                                     ORDER BY images.position
                                     LIMIT 1) i ON true
                ORDER BY "# + $order,
            $($argument),*
        )
        .fetch_all(&mut *$tx.statement($name))
        .await
    };
}

/// Active products in the order of one index.
macro_rules! active {
    ($tx:expr, $slice:expr, $name:expr, $rank:literal, $past:literal, $order:literal, $bound:expr) => {
        listed!(
            $tx,
            $name,
            [
                "SELECT p.*, " $rank " AS rank
                   FROM products p
                  WHERE p.is_active AND p.price_min_amount BETWEEN $3 AND $4 AND " $past "
                  ORDER BY " $order "
                  LIMIT $5 OFFSET $6"
            ],
            order = $order,
            $bound,
            $slice.past_id(),
            $slice.prices.min,
            $slice.prices.max,
            $slice.limit,
            $slice.offset,
        )
    };
}

/// Active products of some categories: the first rows of each, found in the order of its index, merged.
macro_rules! of_categories {
    (
        $tx:expr, $slice:expr, $name:expr, $rank:literal, $past:literal, $order:literal, $bound:expr,
        $categories:expr
    ) => {
        listed!(
            $tx,
            $name,
            [
                "SELECT p.*, " $rank " AS rank
                   FROM unnest($7::bigint[]) AS scope (category_id)
                  CROSS JOIN LATERAL (
                        SELECT p.*
                          FROM products p
                         WHERE p.category_id = scope.category_id
                           AND p.is_active AND p.price_min_amount BETWEEN $3 AND $4 AND " $past "
                         ORDER BY " $order "
                         LIMIT $5::bigint + $6::bigint) p
                  ORDER BY " $order "
                  LIMIT $5 OFFSET $6"
            ],
            order = $order,
            $bound,
            $slice.past_id(),
            $slice.prices.min,
            $slice.prices.max,
            $slice.limit,
            $slice.offset,
            $categories,
        )
    };
}

/// Active products in which rare words are found: first the words, then the order.
macro_rules! lookup {
    (
        $tx:expr, $slice:expr, $name:expr, $rank:literal, $past:literal, $order:literal, $bound:expr,
        $words:expr, $categories:expr
    ) => {
        listed!(
            $tx,
            $name,
            [
                "SELECT p.*
                   FROM (SELECT p.*, " $rank " AS rank
                           FROM catalog.matching(websearch_to_tsquery('app.mc_pt', $7), $9) AS found (id)
                           JOIN products p ON p.id = found.id
                          WHERE p.is_active AND p.price_min_amount BETWEEN $3 AND $4
                            AND ($8::bigint[] IS NULL OR p.category_id = ANY ($8))) p
                  WHERE " $past "
                  ORDER BY " $order "
                  LIMIT $5 OFFSET $6"
            ],
            order = $order,
            $bound,
            $slice.past_id(),
            $slice.prices.min,
            $slice.prices.max,
            $slice.limit,
            $slice.offset,
            $words,
            $categories as Option<&[i64]>,
            LOOKUP_MAX,
        )
    };
}

/// Active products in which common words are found: through the order, stopping at every product that
/// holds them. `IS TRUE` keeps the planner from looking all of them up.
macro_rules! walk {
    (
        $tx:expr, $slice:expr, $name:expr, $rank:literal, $past:literal, $order:literal, $bound:expr,
        $words:expr, $categories:expr
    ) => {
        listed!(
            $tx,
            $name,
            [
                "SELECT p.*, " $rank " AS rank
                   FROM products p
                  WHERE p.is_active AND p.price_min_amount BETWEEN $3 AND $4
                    AND ($8::bigint[] IS NULL OR p.category_id = ANY ($8))
                    AND (p.search_vector @@ websearch_to_tsquery('app.mc_pt', $7)) IS TRUE AND " $past "
                  ORDER BY " $order "
                  LIMIT $5 OFFSET $6"
            ],
            order = $order,
            $bound,
            $slice.past_id(),
            $slice.prices.min,
            $slice.prices.max,
            $slice.limit,
            $slice.offset,
            $words,
            $categories as Option<&[i64]>,
        )
    };
}

/// All products for staff, who list rarely and filter freely.
macro_rules! every {
    (
        $tx:expr, $slice:expr, $name:expr, $rank:literal, $past:literal, $order:literal, $bound:expr,
        $words:expr, $categories:expr
    ) => {
        listed!(
            $tx,
            $name,
            [
                "SELECT p.*
                   FROM (SELECT p.*, " $rank " AS rank
                           FROM products p
                          WHERE p.price_min_amount BETWEEN $3 AND $4
                            AND ($7::text IS NULL OR p.search_vector @@ websearch_to_tsquery('app.mc_pt', $7))
                            AND ($8::bigint[] IS NULL OR p.category_id = ANY ($8))) p
                  WHERE " $past "
                  ORDER BY " $order "
                  LIMIT $5 OFFSET $6"
            ],
            order = $order,
            $bound,
            $slice.past_id(),
            $slice.prices.min,
            $slice.prices.max,
            $slice.limit,
            $slice.offset,
            $words as Option<&str>,
            $categories as Option<&[i64]>,
        )
    };
}

/// One statement of `$source` for each order that a slice can be in; those by rank are given.
macro_rules! in_order {
    ($source:ident, $tx:expr, $slice:expr, $label:literal, [$($more:expr),*], $($by_rank:tt)+) => {
        match ($slice.by, $slice.order) {
            (SortBy::CreatedAt, Order::Ascending) => $source!(
                $tx, $slice, concat!("SELECT ", $label, " by created_at"), "NULL::real",
                "(p.created_at, p.id) > ($1::timestamptz, $2::bigint)", "p.created_at, p.id",
                $slice.past_created_at() $(, $more)*
            ),
            (SortBy::CreatedAt, Order::Descending) => $source!(
                $tx, $slice, concat!("SELECT ", $label, " by created_at"), "NULL::real",
                "(p.created_at, p.id) < ($1::timestamptz, $2::bigint)", "p.created_at DESC, p.id DESC",
                $slice.past_created_at() $(, $more)*
            ),
            (SortBy::Price, Order::Ascending) => $source!(
                $tx, $slice, concat!("SELECT ", $label, " by price"), "NULL::real",
                "(p.price_min_amount, p.id) > ($1::bigint, $2::bigint)", "p.price_min_amount, p.id",
                $slice.past_price() $(, $more)*
            ),
            (SortBy::Price, Order::Descending) => $source!(
                $tx, $slice, concat!("SELECT ", $label, " by price"), "NULL::real",
                "(p.price_min_amount, p.id) < ($1::bigint, $2::bigint)", "p.price_min_amount DESC, p.id DESC",
                $slice.past_price() $(, $more)*
            ),
            (SortBy::Name, Order::Ascending) => $source!(
                $tx, $slice, concat!("SELECT ", $label, " by name"), "NULL::real",
                "(p.name_norm, p.id) > ($1::text, $2::bigint)", "p.name_norm, p.id",
                $slice.past_name() $(, $more)*
            ),
            (SortBy::Name, Order::Descending) => $source!(
                $tx, $slice, concat!("SELECT ", $label, " by name"), "NULL::real",
                "(p.name_norm, p.id) < ($1::text, $2::bigint)", "p.name_norm DESC, p.id DESC",
                $slice.past_name() $(, $more)*
            ),
            (SortBy::Popularity, Order::Ascending) => $source!(
                $tx, $slice, concat!("SELECT ", $label, " by popularity"), "NULL::real",
                "(p.popularity, p.id) > ($1::bigint, $2::bigint)", "p.popularity, p.id",
                $slice.past_popularity() $(, $more)*
            ),
            (SortBy::Popularity, Order::Descending) => $source!(
                $tx, $slice, concat!("SELECT ", $label, " by popularity"), "NULL::real",
                "(p.popularity, p.id) < ($1::bigint, $2::bigint)", "p.popularity DESC, p.id DESC",
                $slice.past_popularity() $(, $more)*
            ),
            $($by_rank)+
        }
    };
}

pub(super) async fn active(tx: &mut Tx, slice: &Slice) -> Result<Vec<Row>, sqlx::Error> {
    in_order!(active, tx, slice, "products", [], (SortBy::Relevance, _) => Ok(Vec::new()))
}

pub(super) async fn of_categories(
    tx: &mut Tx,
    slice: &Slice,
    categories: &[i64],
) -> Result<Vec<Row>, sqlx::Error> {
    in_order!(
        of_categories, tx, slice, "products of categories", [categories],
        (SortBy::Relevance, _) => Ok(Vec::new())
    )
}

pub(super) async fn lookup(
    tx: &mut Tx,
    slice: &Slice,
    words: &str,
    categories: Option<&[i64]>,
) -> Result<Vec<Row>, sqlx::Error> {
    in_order!(
        lookup, tx, slice, "products with rare words", [words, categories],
        (SortBy::Relevance, Order::Ascending) => lookup!(
            tx, slice, "SELECT products with rare words by relevance",
            "ts_rank(p.search_vector, websearch_to_tsquery('app.mc_pt', $7))",
            "(p.rank, p.id) > ($1::real, $2::bigint)", "p.rank, p.id", slice.past_rank(), words, categories
        ),
        (SortBy::Relevance, Order::Descending) => lookup!(
            tx, slice, "SELECT products with rare words by relevance",
            "ts_rank(p.search_vector, websearch_to_tsquery('app.mc_pt', $7))",
            "(p.rank, p.id) < ($1::real, $2::bigint)", "p.rank DESC, p.id DESC", slice.past_rank(), words, categories
        ),
    )
}

pub(super) async fn walk(
    tx: &mut Tx,
    slice: &Slice,
    words: &str,
    categories: Option<&[i64]>,
) -> Result<Vec<Row>, sqlx::Error> {
    in_order!(
        walk, tx, slice, "products with common words", [words, categories],
        (SortBy::Relevance, _) => Ok(Vec::new())
    )
}

pub(super) async fn every(
    tx: &mut Tx,
    slice: &Slice,
    words: Option<&str>,
    categories: Option<&[i64]>,
) -> Result<Vec<Row>, sqlx::Error> {
    in_order!(
        every, tx, slice, "all products", [words, categories],
        (SortBy::Relevance, Order::Ascending) => every!(
            tx, slice, "SELECT all products by relevance",
            "coalesce(ts_rank(p.search_vector, websearch_to_tsquery('app.mc_pt', $7)), 0)",
            "(p.rank, p.id) > ($1::real, $2::bigint)", "p.rank, p.id", slice.past_rank(), words, categories
        ),
        (SortBy::Relevance, Order::Descending) => every!(
            tx, slice, "SELECT all products by relevance",
            "coalesce(ts_rank(p.search_vector, websearch_to_tsquery('app.mc_pt', $7)), 0)",
            "(p.rank, p.id) < ($1::real, $2::bigint)", "p.rank DESC, p.id DESC", slice.past_rank(), words, categories
        ),
    )
}

/// Featured products, the most popular first.
pub(super) async fn featured(tx: &mut Tx, size: ShelfSize) -> Result<Vec<Row>, sqlx::Error> {
    listed!(
        tx,
        "SELECT featured products",
        ["SELECT p.*, NULL::real AS rank
               FROM products p
              WHERE p.is_active AND p.is_featured
              ORDER BY p.popularity DESC, p.id DESC
              LIMIT $1"],
        order = "p.popularity DESC, p.id DESC",
        i64::from(size.get()),
    )
}
