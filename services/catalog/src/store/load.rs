//! Bulk loading: whole batches of a shop in a handful of statements.
//!
//! For an empty or growing catalog before anything is cached: rows appear as given, active, with
//! their own ids, and no event is recorded.

use time::OffsetDateTime;

use crate::domain::{Roast, StockBand};

/// What one call of `load` inserts; each part may be empty. A thousand products per batch is a
/// good size.
#[derive(Debug, Default)]
pub(crate) struct SeedBatch {
    /// Parents before their children.
    pub(crate) categories: Vec<SeedCategory>,
    pub(crate) products: Vec<SeedProduct>,
    /// Files that are stored already are left as they are.
    pub(crate) files: Vec<SeedFile>,
}

/// A category of the tree.
#[derive(Debug)]
pub(crate) struct SeedCategory {
    pub(crate) id: i64,
    pub(crate) parent_id: Option<i64>,
    pub(crate) name: String,
    pub(crate) slug: String,
    pub(crate) position: i32,
}

/// An active product with everything that hangs on it.
#[derive(Debug)]
pub(crate) struct SeedProduct {
    pub(crate) id: i64,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category_id: Option<i64>,
    pub(crate) origin: Option<String>,
    pub(crate) roast: Option<Roast>,
    pub(crate) process: Option<String>,
    /// 865 is 86.5 points.
    pub(crate) sca_score_tenths: Option<i32>,
    /// A JSON object.
    pub(crate) attributes_json: String,
    pub(crate) is_featured: bool,
    pub(crate) created_at: OffsetDateTime,
    /// Orders featured products, most popular first.
    pub(crate) popularity: i64,
    pub(crate) stock_band: StockBand,
    /// At least one; positions follow the order given, ids are assigned.
    pub(crate) variants: Vec<SeedVariant>,
    /// The first one stands for the product in lists.
    pub(crate) images: Vec<SeedImage>,
}

/// A variant with its base price.
#[derive(Debug)]
pub(crate) struct SeedVariant {
    /// Unique over the whole catalog.
    pub(crate) sku: String,
    pub(crate) name: String,
    /// A JSON object of strings, unique within the product.
    pub(crate) options_json: String,
    pub(crate) weight_g: i32,
    /// Centavos.
    pub(crate) price_amount: i64,
    /// Centavos, not below the price.
    pub(crate) compare_at_amount: Option<i64>,
}

/// A picture of a product.
#[derive(Debug)]
pub(crate) struct SeedImage {
    /// SHA-256 of the bytes, lower-case hex.
    pub(crate) sha256_hex: String,
    /// `/images/<sha256>.svg`
    pub(crate) url: String,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) alt: String,
}

/// The bytes of a picture.
#[derive(Debug)]
pub(crate) struct SeedFile {
    /// SHA-256 of `content`, lower-case hex.
    pub(crate) sha256_hex: String,
    pub(crate) content_type: String,
    pub(crate) content: Vec<u8>,
}

// `pub(crate) async fn load(tx: &mut rls::Tx, batch: &SeedBatch) -> Result<(), sqlx::Error>` and
// `pub(crate) async fn is_empty(tx: &mut rls::Tx) -> Result<bool, sqlx::Error>` (no product yet) follow.
