//! Parts of product lists.
//!
//! One statement per sort and source, so that each walks the index that is made for it and stops
//! after the last row it needs. Bounds are always given, open ends as values that lie beyond every
//! row: a condition that may be absent (`$1 IS NULL OR ...`) would keep the planner from the index.

use rls::Tx;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::domain::cursor::{Place, SortValue};
use crate::domain::listing::{Order, PriceRange, RARE_MAX, ShelfSize, SortBy};
use crate::domain::price::Price;
use crate::domain::product::{CategoryRef, Image, Summary};

/// Before and after every product that there will be.
const EARLIEST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);
const LATEST: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);
/// Sorts behind every text in byte order.
const LAST_NAME: &str = "\u{10FFFF}";
/// Products that a lookup may find: room for words that became common since a list was begun.
const LOOKUP_MAX: i64 = 2 * RARE_MAX;

/// What is cut out of a list.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) source: Source,
    pub(crate) prices: PriceRange,
    pub(crate) by: SortBy,
    /// The order of the rows in the answer.
    pub(crate) order: Order,
    /// Rows come behind this one; from the beginning without it.
    pub(crate) past: Option<Place>,
    pub(crate) limit: i64,
    /// Rows skipped first.
    pub(crate) offset: i64,
}

/// Where the products of a list come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Every active product.
    Active,
    /// Active products of these categories.
    Categories(Vec<i64>),
    /// Active products in which these rare words are found, of these categories or of all.
    Lookup { words: String, categories: Option<Vec<i64>> },
    /// The same for common words.
    Walk { words: String, categories: Option<Vec<i64>> },
    /// Inactive ones too; for staff.
    Every { words: Option<String>, categories: Option<Vec<i64>> },
}

/// A product of a list, and its place in it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) summary: Summary,
    name_norm: String,
    popularity: i64,
    rank: Option<f32>,
}

impl Listed {
    /// What a cursor next to this row remembers.
    pub(crate) fn place(&self, by: SortBy) -> Place {
        let value = match by {
            SortBy::CreatedAt => SortValue::CreatedAt(self.summary.created_at),
            SortBy::Price => SortValue::Price(self.summary.price.amount),
            SortBy::Name => SortValue::Name(self.name_norm.clone()),
            SortBy::Relevance => SortValue::Rank(self.rank.unwrap_or_default()),
            SortBy::Popularity => SortValue::Popularity(self.popularity),
        };
        Place { value, id: self.summary.id }
    }
}

/// A product row with its category and first image.
#[derive(Debug)]
struct Row {
    id: i64,
    slug: String,
    name: String,
    name_norm: String,
    popularity: i64,
    rank: Option<f32>,
    price_min_amount: i64,
    compare_at_amount: Option<i64>,
    currency: String,
    stock_band: String,
    rating_sum: i64,
    rating_count: i64,
    is_featured: bool,
    is_active: bool,
    version: i64,
    created_at: OffsetDateTime,
    origin: Option<String>,
    roast: Option<String>,
    process: Option<String>,
    sca_score_tenths: Option<i32>,
    category_id: Option<i64>,
    category_name: Option<String>,
    category_slug: Option<String>,
    image_id: Option<i64>,
    image_url: Option<String>,
    image_width: Option<i32>,
    image_height: Option<i32>,
    image_alt: Option<String>,
}

impl From<Row> for Listed {
    fn from(row: Row) -> Self {
        let category = match (row.category_id, row.category_name, row.category_slug) {
            (Some(id), Some(name), Some(slug)) => Some(CategoryRef { id, name, slug }),
            _ => None,
        };
        let image = match (row.image_id, row.image_url, row.image_width, row.image_height, row.image_alt) {
            (Some(id), Some(url), Some(width), Some(height), Some(alt)) => {
                Some(Image { id, url, width, height, alt })
            }
            _ => None,
        };
        let summary = Summary {
            id: row.id,
            slug: row.slug,
            name: row.name,
            category,
            price: Price { amount: row.price_min_amount, compare_at: row.compare_at_amount },
            currency: row.currency,
            stock_band: row.stock_band,
            rating_sum: row.rating_sum,
            rating_count: row.rating_count,
            image,
            is_featured: row.is_featured,
            is_active: row.is_active,
            version: row.version,
            created_at: row.created_at,
            origin: row.origin,
            roast: row.roast,
            process: row.process,
            sca_score_tenths: row.sca_score_tenths,
        };
        Self { summary, name_norm: row.name_norm, popularity: row.popularity, rank: row.rank }
    }
}

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

/// The products of one part of a list, in its order.
pub(crate) async fn products(tx: &mut Tx, slice: &Slice) -> Result<Vec<Listed>, sqlx::Error> {
    let rows = match &slice.source {
        Source::Active => active(tx, slice).await,
        Source::Categories(categories) => of_categories(tx, slice, categories).await,
        Source::Lookup { words, categories } => lookup(tx, slice, words, categories.as_deref()).await,
        Source::Walk { words, categories } => walk(tx, slice, words, categories.as_deref()).await,
        Source::Every { words, categories } => {
            every(tx, slice, words.as_deref(), categories.as_deref()).await
        }
    }?;
    Ok(rows.into_iter().map(Listed::from).collect())
}

async fn active(tx: &mut Tx, slice: &Slice) -> Result<Vec<Row>, sqlx::Error> {
    in_order!(active, tx, slice, "products", [], (SortBy::Relevance, _) => Ok(Vec::new()))
}

async fn of_categories(tx: &mut Tx, slice: &Slice, categories: &[i64]) -> Result<Vec<Row>, sqlx::Error> {
    in_order!(
        of_categories, tx, slice, "products of categories", [categories],
        (SortBy::Relevance, _) => Ok(Vec::new())
    )
}

async fn lookup(
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

async fn walk(
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

async fn every(
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
pub(crate) async fn featured(tx: &mut Tx, size: ShelfSize) -> Result<Vec<Summary>, sqlx::Error> {
    let rows = listed!(
        tx,
        "SELECT featured products",
        ["SELECT p.*, NULL::real AS rank
               FROM products p
              WHERE p.is_active AND p.is_featured
              ORDER BY p.popularity DESC, p.id DESC
              LIMIT $1"],
        order = "p.popularity DESC, p.id DESC",
        i64::from(size.get()),
    )?;
    Ok(rows.into_iter().map(|row| Listed::from(row).summary).collect())
}

impl Slice {
    /// Where the ids go on among rows with equal values.
    fn past_id(&self) -> i64 {
        match (&self.past, self.order) {
            (Some(place), _) => place.id,
            (None, Order::Ascending) => i64::MIN,
            (None, Order::Descending) => i64::MAX,
        }
    }

    fn past_created_at(&self) -> OffsetDateTime {
        match (&self.past, self.order) {
            (Some(Place { value: SortValue::CreatedAt(at), .. }), _) => *at,
            (_, Order::Ascending) => EARLIEST,
            (_, Order::Descending) => LATEST,
        }
    }

    fn past_price(&self) -> i64 {
        match (&self.past, self.order) {
            (Some(Place { value: SortValue::Price(amount), .. }), _) => *amount,
            (_, Order::Ascending) => i64::MIN,
            (_, Order::Descending) => i64::MAX,
        }
    }

    fn past_popularity(&self) -> i64 {
        match (&self.past, self.order) {
            (Some(Place { value: SortValue::Popularity(popularity), .. }), _) => *popularity,
            (_, Order::Ascending) => i64::MIN,
            (_, Order::Descending) => i64::MAX,
        }
    }

    fn past_name(&self) -> &str {
        match (&self.past, self.order) {
            (Some(Place { value: SortValue::Name(name), .. }), _) => name,
            (_, Order::Ascending) => "",
            (_, Order::Descending) => LAST_NAME,
        }
    }

    fn past_rank(&self) -> f32 {
        match (&self.past, self.order) {
            (Some(Place { value: SortValue::Rank(rank), .. }), _) => *rank,
            (_, Order::Ascending) => f32::NEG_INFINITY,
            (_, Order::Descending) => f32::INFINITY,
        }
    }
}
