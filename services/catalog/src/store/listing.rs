//! Parts of product lists.

mod row;
mod statements;

use rls::Tx;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::domain::cursor::{Place, SortValue};
use crate::domain::listing::{Order, PriceRange, ShelfSize, SortBy};
use crate::domain::product::Summary;

pub(crate) use row::Listed;

/// Before and after every product that there will be.
const EARLIEST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);
const LATEST: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);
/// Sorts behind every text in byte order.
const LAST_NAME: &str = "\u{10FFFF}";

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

/// The products of one part of a list, in its order.
pub(crate) async fn products(tx: &mut Tx, slice: &Slice) -> Result<Vec<Listed>, sqlx::Error> {
    let rows = match &slice.source {
        Source::Active => statements::active(tx, slice).await,
        Source::Categories(categories) => statements::of_categories(tx, slice, categories).await,
        Source::Lookup { words, categories } => {
            statements::lookup(tx, slice, words, categories.as_deref()).await
        }
        Source::Walk { words, categories } => statements::walk(tx, slice, words, categories.as_deref()).await,
        Source::Every { words, categories } => {
            statements::every(tx, slice, words.as_deref(), categories.as_deref()).await
        }
    }?;
    Ok(rows.into_iter().map(Listed::from).collect())
}

/// Featured products, the most popular first.
pub(crate) async fn featured(tx: &mut Tx, size: ShelfSize) -> Result<Vec<Summary>, sqlx::Error> {
    let rows = statements::featured(tx, size).await?;
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
