//! Bulk loading: whole batches of a shop in a handful of statements.
//!
//! For an empty or growing catalog before anything is cached: rows appear as given, active, with
//! their own ids, and no event is recorded.

use rls::Tx;
use time::OffsetDateTime;

use crate::domain::{Roast, StockBand};
use crate::store::BASE_PRICE_LIST_ID;

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
    /// Of the product and of each variant.
    pub(crate) stock_band: StockBand,
    /// At least one; positions follow the order given, ids are assigned.
    pub(crate) variants: Vec<SeedVariant>,
    /// The first one stands for the product in lists.
    pub(crate) images: Vec<SeedImage>,
}

impl SeedProduct {
    fn cheapest(&self) -> Option<&SeedVariant> {
        self.variants.iter().min_by_key(|variant| variant.price_amount)
    }
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

/// How much of a variant a demo shop may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stocked {
    pub(crate) variant_id: i64,
    pub(crate) product_id: i64,
    pub(crate) stock_band: StockBand,
}

/// The band of every variant, ascending.
pub(crate) async fn stocked(tx: &mut Tx) -> Result<Vec<Stocked>, sqlx::Error> {
    let rows = sqlx::query!("SELECT id, product_id, stock_band FROM variants ORDER BY id")
        .fetch_all(&mut *tx.statement("SELECT stocked variants"))
        .await?;
    rows.into_iter()
        .map(|row| {
            // The table's check excludes what this refuses.
            let stock_band = StockBand::parse("stock_band", &row.stock_band)
                .map_err(|refusal| sqlx::Error::Decode(refusal.into()))?;
            Ok(Stocked { variant_id: row.id, product_id: row.product_id, stock_band })
        })
        .collect()
}

/// Inserts the whole batch; categories, files and products that it names must be in it or there already.
///
/// Staff and services may load. About 1,000 products take a second, so the transaction should be
/// given a few. Ids given here are not given out again afterwards.
pub(crate) async fn load(tx: &mut Tx, batch: &SeedBatch) -> Result<(), sqlx::Error> {
    if !batch.categories.is_empty() {
        categories(tx, &batch.categories).await?;
    }
    if !batch.files.is_empty() {
        files(tx, &batch.files).await?;
    }
    if !batch.products.is_empty() {
        products(tx, &batch.products).await?;
        variants(tx, &batch.products).await?;
        images(tx, &batch.products).await?;
    }
    number_on(tx).await
}

/// What is stored already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Active or not.
    pub(crate) products: usize,
    pub(crate) categories: usize,
}

/// How many products and categories there are.
pub(crate) async fn counts(tx: &mut Tx) -> Result<Stored, sqlx::Error> {
    let counts = sqlx::query!(
        r#"SELECT (SELECT coalesce(sum(every), 0)::bigint FROM product_counts) AS "products!",
                  (SELECT count(*) FROM categories)                          AS "categories!""#,
    )
    .fetch_one(&mut *tx.statement("SELECT product_counts"))
    .await?;
    let count = |rows: i64| usize::try_from(rows).unwrap_or_default();
    Ok(Stored { products: count(counts.products), categories: count(counts.categories) })
}

fn column<'a, Row, Value>(rows: &'a [Row], value: impl Fn(&'a Row) -> Value) -> Vec<Value> {
    rows.iter().map(value).collect()
}

async fn categories(tx: &mut Tx, rows: &[SeedCategory]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO categories (id, parent_id, name, slug, position)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::int[])",
        &column(rows, |c| c.id),
        &column(rows, |c| c.parent_id) as &[Option<i64>],
        &column(rows, |c| c.name.clone()),
        &column(rows, |c| c.slug.clone()),
        &column(rows, |c| c.position),
    )
    .execute(&mut *tx.statement("INSERT categories"))
    .await?;
    Ok(())
}

async fn files(tx: &mut Tx, rows: &[SeedFile]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO image_files (sha256, content_type, content)
         SELECT decode(sha256_hex, 'hex'), content_type, content
           FROM unnest($1::text[], $2::text[], $3::bytea[]) AS file (sha256_hex, content_type, content)
         ON CONFLICT (sha256) DO NOTHING",
        &column(rows, |f| f.sha256_hex.clone()),
        &column(rows, |f| f.content_type.clone()),
        &column(rows, |f| f.content.as_slice()) as &[&[u8]],
    )
    .execute(&mut *tx.statement("INSERT image_files"))
    .await?;
    Ok(())
}

async fn products(tx: &mut Tx, rows: &[SeedProduct]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO products (id, slug, name, description, category_id, origin, roast, process, sca_score,
                               attributes, is_active, is_featured, created_at, updated_at, popularity,
                               stock_band, price_min_amount, price_max_amount, compare_at_amount)
         SELECT id, slug, name, description, category_id, origin, roast, process, sca_tenths / 10.0,
                attributes::jsonb, true, is_featured, created_at, created_at, popularity,
                stock_band, price_min, price_max, compare_at
           FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
                       $8::text[], $9::int[], $10::text[], $11::bool[], $12::timestamptz[], $13::bigint[],
                       $14::text[], $15::bigint[], $16::bigint[], $17::bigint[])
                AS row (id, slug, name, description, category_id, origin, roast, process, sca_tenths,
                        attributes, is_featured, created_at, popularity, stock_band, price_min, price_max,
                        compare_at)",
        &column(rows, |p| p.id),
        &column(rows, |p| p.slug.clone()),
        &column(rows, |p| p.name.clone()),
        &column(rows, |p| p.description.clone()),
        &column(rows, |p| p.category_id) as &[Option<i64>],
        &column(rows, |p| p.origin.as_deref()) as &[Option<&str>],
        &column(rows, |p| p.roast.map(Roast::as_str)) as &[Option<&str>],
        &column(rows, |p| p.process.as_deref()) as &[Option<&str>],
        &column(rows, |p| p.sca_score_tenths) as &[Option<i32>],
        &column(rows, |p| p.attributes_json.clone()),
        &column(rows, |p| p.is_featured),
        &column(rows, |p| p.created_at),
        &column(rows, |p| p.popularity),
        &column(rows, |p| p.stock_band.as_str()) as &[&str],
        &column(rows, |p| p.cheapest().map(|v| v.price_amount)) as &[Option<i64>],
        &column(rows, |p| p.variants.iter().map(|v| v.price_amount).max()) as &[Option<i64>],
        &column(rows, |p| p.cheapest().and_then(|v| v.compare_at_amount)) as &[Option<i64>],
    )
    .execute(&mut *tx.statement("INSERT products"))
    .await?;
    Ok(())
}

async fn variants(tx: &mut Tx, products: &[SeedProduct]) -> Result<(), sqlx::Error> {
    let rows: Vec<(&SeedProduct, i32, &SeedVariant)> = products
        .iter()
        .flat_map(|p| (0..).zip(&p.variants).map(move |(position, v)| (p, position, v)))
        .collect();
    sqlx::query!(
        "WITH given AS MATERIALIZED (
              SELECT *
                FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::int[],
                            $7::bigint[], $8::bigint[], $9::timestamptz[], $11::text[])
                     AS row (product_id, position, sku, name, options, weight_g,
                             amount, compare_at_amount, valid_from, stock_band)),
         made AS (
              INSERT INTO variants (product_id, position, sku, name, options, weight_g, stock_band)
              SELECT product_id, position, sku, name, options::jsonb, weight_g, stock_band FROM given
              ORDER BY product_id, position
              RETURNING id, sku),
         priced AS (
              INSERT INTO prices (variant_id, price_list_id, amount, compare_at_amount)
              SELECT made.id, $10::bigint, given.amount, given.compare_at_amount FROM made JOIN given USING (sku))
         INSERT INTO price_history (variant_id, currency, amount, valid)
         SELECT made.id, 'BRL', given.amount, tstzrange(given.valid_from, NULL) FROM made JOIN given USING (sku)",
        &column(&rows, |(p, _, _)| p.id),
        &column(&rows, |(_, position, _)| *position),
        &column(&rows, |(_, _, v)| v.sku.clone()),
        &column(&rows, |(_, _, v)| v.name.clone()),
        &column(&rows, |(_, _, v)| v.options_json.clone()),
        &column(&rows, |(_, _, v)| v.weight_g),
        &column(&rows, |(_, _, v)| v.price_amount),
        &column(&rows, |(_, _, v)| v.compare_at_amount) as &[Option<i64>],
        &column(&rows, |(p, _, _)| p.created_at),
        BASE_PRICE_LIST_ID,
        &column(&rows, |(p, _, _)| p.stock_band.as_str()) as &[&str],
    )
    .execute(&mut *tx.statement("INSERT variants"))
    .await?;
    Ok(())
}

async fn images(tx: &mut Tx, products: &[SeedProduct]) -> Result<(), sqlx::Error> {
    let rows: Vec<(i64, i32, &SeedImage)> = products
        .iter()
        .flat_map(|p| (0..).zip(&p.images).map(move |(position, i)| (p.id, position, i)))
        .collect();
    sqlx::query!(
        "INSERT INTO images (product_id, position, sha256, url, width, height, alt)
         SELECT product_id, position, decode(sha256_hex, 'hex'), url, width, height, alt
           FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::int[], $6::int[], $7::text[])
                AS row (product_id, position, sha256_hex, url, width, height, alt)",
        &column(&rows, |(product, _, _)| *product),
        &column(&rows, |(_, position, _)| *position),
        &column(&rows, |(_, _, i)| i.sha256_hex.clone()),
        &column(&rows, |(_, _, i)| i.url.clone()),
        &column(&rows, |(_, _, i)| i.width),
        &column(&rows, |(_, _, i)| i.height),
        &column(&rows, |(_, _, i)| i.alt.clone()),
    )
    .execute(&mut *tx.statement("INSERT images"))
    .await?;
    Ok(())
}

/// Ids of later rows begin behind the loaded ones.
async fn number_on(tx: &mut Tx) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT setval('catalog.categories_id_seq', greatest((SELECT max(id) FROM categories), 1)) AS categories,
                setval('catalog.products_id_seq', greatest((SELECT max(id) FROM products), 1)) AS products",
    )
    .fetch_one(&mut *tx.statement("SELECT setval"))
    .await?;
    Ok(())
}
