//! Rows of lists.

use time::OffsetDateTime;

use crate::domain::cursor::{Place, SortValue};
use crate::domain::listing::SortBy;
use crate::domain::price::Price;
use crate::domain::product::{CategoryRef, Image, Summary};

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
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) name_norm: String,
    pub(super) popularity: i64,
    pub(super) rank: Option<f32>,
    pub(super) price_min_amount: i64,
    pub(super) compare_at_amount: Option<i64>,
    pub(super) currency: String,
    pub(super) stock_band: String,
    pub(super) rating_sum: i64,
    pub(super) rating_count: i64,
    pub(super) is_featured: bool,
    pub(super) is_active: bool,
    pub(super) version: i64,
    pub(super) created_at: OffsetDateTime,
    pub(super) origin: Option<String>,
    pub(super) roast: Option<String>,
    pub(super) process: Option<String>,
    pub(super) sca_score_tenths: Option<i32>,
    pub(super) category_id: Option<i64>,
    pub(super) category_name: Option<String>,
    pub(super) category_slug: Option<String>,
    pub(super) image_id: Option<i64>,
    pub(super) image_url: Option<String>,
    pub(super) image_width: Option<i32>,
    pub(super) image_height: Option<i32>,
    pub(super) image_alt: Option<String>,
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
