//! Stock: what there is, and every change of it by staff. Orders change it by the functions of the migrations.

use rls::Tx;

use crate::domain::page::Page;
use crate::stock::StockChange;

macro_rules! level {
    ($rest:literal) => {
        concat!(
            "SELECT variant_id, product_id, location_id, on_hand, reserved, low_threshold, backorder, band, version
               FROM stock_levels ",
            $rest
        )
    };
}

rls::statements! {
    /// A page of the levels, by variant.
    LIST_STOCK = level!(
        "WHERE ($1::bigint IS NULL OR product_id = $1)
           AND (cardinality($2::bigint[]) = 0 OR variant_id = ANY($2))
           AND ($3::text IS NULL OR band = $3)
         ORDER BY variant_id, location_id LIMIT $4 OFFSET $5");

    /// How many levels such a list has.
    COUNT_STOCK =
        "SELECT count(*) FROM stock_levels
          WHERE ($1::bigint IS NULL OR product_id = $1)
            AND (cardinality($2::bigint[]) = 0 OR variant_id = ANY($2))
            AND ($3::text IS NULL OR band = $3)";

    /// What there is of some variants, for anybody.
    AVAILABILITY =
        "SELECT variant_id, band,
                CASE WHEN backorder THEN 99 ELSE least(greatest(on_hand - reserved, 0), 99) END AS max_quantity
           FROM stock_levels WHERE location_id = 1 AND variant_id = ANY($1)";

    /// Which of the variants have a level.
    KNOWN_VARIANTS = "SELECT variant_id FROM stock_levels WHERE location_id = 1 AND variant_id = ANY($1)";

    /// Makes empty levels where there are none.
    INSERT_LEVELS =
        "INSERT INTO stock_levels (variant_id, product_id, on_hand)
         SELECT u.variant_id, u.product_id, 0 FROM unnest($1::bigint[], $2::bigint[]) AS u (variant_id, product_id)
          ORDER BY u.variant_id
         ON CONFLICT (variant_id, location_id) DO NOTHING";

    /// The levels of some variants, to be changed; locked by ascending variant, as everywhere.
    LOCK_LEVELS = level!("WHERE location_id = 1 AND variant_id = ANY($1) ORDER BY variant_id FOR UPDATE");

    /// Adds to what is there of locked variants.
    ADJUST_LEVELS =
        "UPDATE stock_levels s
            SET on_hand = s.on_hand + u.delta, version = s.version + 1, updated_at = now(),
                band_version = s.band_version
                    + (orders.band(s.on_hand + u.delta, s.reserved, s.low_threshold, s.backorder) <> s.band)::int
           FROM unnest($1::bigint[], $2::int[]) AS u (variant_id, delta)
          WHERE s.variant_id = u.variant_id AND s.location_id = 1
         RETURNING s.variant_id, s.product_id, s.on_hand, s.reserved, s.version,
                   orders.band(s.on_hand - u.delta, s.reserved, s.low_threshold, s.backorder) AS old_band,
                   s.band, s.band_version, s.location_id, s.low_threshold, s.backorder";

    /// Writes the movements down.
    INSERT_MOVEMENTS =
        "INSERT INTO stock_movements (variant_id, location_id, kind, on_hand_delta, ref, reason)
         SELECT u.variant_id, 1, 'adjust', u.delta, $4, u.reason
           FROM unnest($1::bigint[], $2::int[], $3::text[]) AS u (variant_id, delta, reason)";
}

/// A level as staff see it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct LevelRow {
    pub(crate) variant_id: i64,
    pub(crate) product_id: i64,
    pub(crate) location_id: i32,
    pub(crate) on_hand: i32,
    pub(crate) reserved: i32,
    pub(crate) low_threshold: i32,
    pub(crate) backorder: bool,
    pub(crate) band: String,
    pub(crate) version: i64,
}

/// A level after a change, and what the change was.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct AdjustedRow {
    #[sqlx(flatten)]
    pub(crate) change: StockChange,
    pub(crate) location_id: i32,
    pub(crate) low_threshold: i32,
    pub(crate) backorder: bool,
}

/// What a buyer may know of a variant.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct AvailabilityRow {
    pub(crate) variant_id: i64,
    pub(crate) band: String,
    /// What one order may hold now, at most 99.
    pub(crate) max_quantity: i32,
}

/// Which levels a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) product_id: Option<i64>,
    /// All when empty.
    pub(crate) variant_ids: Vec<i64>,
    pub(crate) band: Option<&'static str>,
}

/// A page of the levels.
pub(crate) async fn levels(tx: &mut Tx, filter: &Filter, page: Page) -> Result<Vec<LevelRow>, sqlx::Error> {
    sqlx::query_as(LIST_STOCK)
        .bind(filter.product_id)
        .bind(&filter.variant_ids)
        .bind(filter.band)
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(&mut *tx.statement("SELECT stock_levels"))
        .await
}

/// How many levels the filter lets through.
pub(crate) async fn count(tx: &mut Tx, filter: &Filter) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_STOCK)
        .bind(filter.product_id)
        .bind(&filter.variant_ids)
        .bind(filter.band)
        .fetch_one(&mut *tx.statement("SELECT count of stock_levels"))
        .await
}

/// What there is of the variants; those without a level are absent.
pub(crate) async fn availability(tx: &mut Tx, variants: &[i64]) -> Result<Vec<AvailabilityRow>, sqlx::Error> {
    sqlx::query_as(AVAILABILITY).bind(variants).fetch_all(&mut *tx.statement("SELECT availability")).await
}

/// Which of the variants have a level.
pub(crate) async fn known(tx: &mut Tx, variants: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(KNOWN_VARIANTS)
        .bind(variants)
        .fetch_all(&mut *tx.statement("SELECT known variants"))
        .await
}

/// Makes empty levels of variants that have none; pairs of variant and product.
pub(crate) async fn insert(tx: &mut Tx, variants: &[(i64, i64)]) -> Result<(), sqlx::Error> {
    let (ids, products): (Vec<i64>, Vec<i64>) = variants.iter().copied().unzip();
    sqlx::query(INSERT_LEVELS)
        .bind(ids)
        .bind(products)
        .execute(&mut *tx.statement("INSERT stock_levels"))
        .await
        .map(drop)
}

/// The variants' levels, locked.
pub(crate) async fn lock(tx: &mut Tx, variants: &[i64]) -> Result<Vec<LevelRow>, sqlx::Error> {
    sqlx::query_as(LOCK_LEVELS)
        .bind(variants)
        .fetch_all(&mut *tx.statement("SELECT stock_levels FOR UPDATE"))
        .await
}

/// Adds differences to locked levels, and writes them down as moved by `cause`.
pub(crate) async fn adjust(
    tx: &mut Tx,
    differences: &[Difference],
    cause: &str,
) -> Result<Vec<AdjustedRow>, sqlx::Error> {
    let variants: Vec<i64> = differences.iter().map(|difference| difference.variant_id).collect();
    let deltas: Vec<i32> = differences.iter().map(|difference| difference.delta).collect();
    let reasons: Vec<&str> = differences.iter().map(|difference| difference.reason.as_str()).collect();
    let adjusted = sqlx::query_as(ADJUST_LEVELS)
        .bind(&variants)
        .bind(&deltas)
        .fetch_all(&mut *tx.statement("UPDATE stock_levels"))
        .await?;
    sqlx::query(INSERT_MOVEMENTS)
        .bind(&variants)
        .bind(&deltas)
        .bind(&reasons)
        .bind(cause)
        .execute(&mut *tx.statement("INSERT stock_movements"))
        .await?;
    Ok(adjusted)
}

/// How a variant's stock changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) variant_id: i64,
    pub(crate) delta: i32,
    pub(crate) reason: String,
}
