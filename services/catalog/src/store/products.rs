//! Products one at a time: their page, and what editors do to them.

use rls::Tx;
use serde_json::Value;
use time::OffsetDateTime;

use crate::domain::price::Price;
use crate::domain::product::{
    CategoryRef, Current, Detail, Image, NewVariant, PriceSpan, ProductFields, ScaScore, Summary, Variant,
};
use crate::domain::{CategoryId, Invalid, ProductId, Roast};
use crate::store::BASE_PRICE_LIST_ID;

/// Which product is meant.
#[derive(Clone, Debug)]
pub(crate) enum ProductKey {
    Id(ProductId),
    Slug(String),
}

/// A product row with its category path.
struct Row {
    id: i64,
    slug: String,
    name: String,
    description: String,
    attributes_json: String,
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
    updated_at: OffsetDateTime,
    origin: Option<String>,
    roast: Option<String>,
    process: Option<String>,
    sca_score_tenths: Option<i32>,
    category_id: Option<i64>,
    crumb_ids: Vec<i64>,
    crumb_names: Vec<String>,
    crumb_slugs: Vec<String>,
}

/// A product row by one of its keys.
macro_rules! product {
    ($tx:expr, $name:literal, $key:literal, $argument:expr) => {
        sqlx::query_as!(
            Row,
            r#"SELECT p.id, p.slug, p.name, p.description,
                      p.attributes::text      AS "attributes_json!",
                      p.price_min_amount      AS "price_min_amount!: i64",
                      p.compare_at_amount     AS "compare_at_amount?: i64",
                      p.currency              AS "currency!: String",
                      p.stock_band, p.rating_sum, p.rating_count, p.is_featured, p.is_active, p.version,
                      p.created_at, p.updated_at, p.origin, p.roast, p.process,
                      (p.sca_score * 10)::int AS "sca_score_tenths?",
                      p.category_id,
                      crumbs.ids              AS "crumb_ids!",
                      crumbs.names            AS "crumb_names!",
                      crumbs.slugs            AS "crumb_slugs!"
                 FROM products p
                CROSS JOIN LATERAL (
                      SELECT coalesce(array_agg(a.id   ORDER BY cardinality(a.path)), '{}') AS ids,
                             coalesce(array_agg(a.name ORDER BY cardinality(a.path)), '{}') AS names,
                             coalesce(array_agg(a.slug ORDER BY cardinality(a.path)), '{}') AS slugs
                        FROM categories c
                        JOIN categories a ON a.id = ANY (c.path)
                       WHERE c.id = p.category_id) crumbs
                WHERE "#
                + $key,
            $argument
        )
        .fetch_optional(&mut *$tx.statement($name))
        .await
    };
}

/// A product with variants and images, in three statements whatever their number.
pub(crate) async fn detail(tx: &mut Tx, key: &ProductKey) -> Result<Option<Detail>, sqlx::Error> {
    let row = match key {
        ProductKey::Id(id) => product!(tx, "SELECT product by id", "p.id = $1", id.get()),
        ProductKey::Slug(slug) => product!(tx, "SELECT product by slug", "p.slug = $1", slug),
    }?;
    let Some(row) = row else { return Ok(None) };
    let variants = variants(tx, row.id).await?;
    let images = images(tx, row.id).await?;

    let crumbs = row.crumb_ids.into_iter().zip(row.crumb_names).zip(row.crumb_slugs);
    let breadcrumbs: Vec<_> = crumbs.map(|((id, name), slug)| CategoryRef { id, name, slug }).collect();
    let summary = Summary {
        id: row.id,
        slug: row.slug,
        name: row.name,
        // The last crumb, unless this caller may not see that category.
        category: breadcrumbs.last().filter(|category| Some(category.id) == row.category_id).cloned(),
        price: Price { amount: row.price_min_amount, compare_at: row.compare_at_amount },
        currency: row.currency,
        stock_band: row.stock_band,
        rating_sum: row.rating_sum,
        rating_count: row.rating_count,
        image: images.first().cloned(),
        is_featured: row.is_featured,
        is_active: row.is_active,
        version: row.version,
        created_at: row.created_at,
        origin: row.origin,
        roast: row.roast,
        process: row.process,
        sca_score_tenths: row.sca_score_tenths,
    };
    let detail = Detail {
        summary,
        description: row.description,
        attributes_json: row.attributes_json,
        variants,
        images,
        breadcrumbs,
        updated_at: row.updated_at,
    };
    Ok(Some(detail))
}

/// The active variants of a product with their base prices, in order.
async fn variants(tx: &mut Tx, product_id: i64) -> Result<Vec<Variant>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT v.id, v.sku, v.name,
                  v.options::text     AS "options_json!",
                  v.weight_g, v.stock_band, v.version,
                  p.amount            AS "amount!: i64",
                  p.compare_at_amount AS "compare_at_amount?: i64",
                  p.currency          AS "currency!: String"
             FROM variants v
             JOIN prices p ON p.variant_id = v.id
                          AND p.price_list_id = $2 AND p.currency = 'BRL' AND p.min_quantity = 1
            WHERE v.product_id = $1 AND v.is_active
            ORDER BY v.position, v.id"#,
        product_id,
        BASE_PRICE_LIST_ID,
    )
    .fetch_all(&mut *tx.statement("SELECT variants"))
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Variant {
            id: row.id,
            sku: row.sku,
            name: row.name,
            options_json: row.options_json,
            price: Price { amount: row.amount, compare_at: row.compare_at_amount },
            currency: row.currency,
            weight_g: row.weight_g,
            stock_band: row.stock_band,
            version: row.version,
        })
        .collect())
}

/// The images of a product, in order.
async fn images(tx: &mut Tx, product_id: i64) -> Result<Vec<Image>, sqlx::Error> {
    sqlx::query_as!(
        Image,
        "SELECT id, url, width, height, alt FROM images WHERE product_id = $1 ORDER BY position",
        product_id,
    )
    .fetch_all(&mut *tx.statement("SELECT images"))
    .await
}

/// Locks a product and says how it stands, inactive or not.
pub(crate) async fn lock(tx: &mut Tx, id: ProductId) -> Result<Option<Current>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT p.slug, p.name, p.description, p.category_id, p.origin, p.roast, p.process,
                  (p.sca_score * 10)::int AS "sca_score_tenths?",
                  p.attributes, p.is_active, p.is_featured, p.version,
                  c.path                  AS "category_path?"
             FROM products p
             LEFT JOIN categories c ON c.id = p.category_id
            WHERE p.id = $1
              FOR UPDATE OF p"#,
        id.get(),
    )
    .fetch_optional(&mut *tx.statement("SELECT product FOR UPDATE"))
    .await?;
    row.map(|row| {
        // The table's checks exclude what these refuse.
        let kept = |refusal: Invalid| sqlx::Error::Decode(refusal.into());
        let fields = ProductFields {
            slug: row.slug,
            name: row.name,
            description: row.description,
            category: row
                .category_id
                .map(|id| CategoryId::parse("category_id", id))
                .transpose()
                .map_err(kept)?,
            origin: row.origin,
            roast: row.roast.map(|word| Roast::parse("roast", &word)).transpose().map_err(kept)?,
            process: row.process,
            sca_score: row
                .sca_score_tenths
                .map(|tenths| ScaScore::parse("sca_score", tenths))
                .transpose()
                .map_err(kept)?,
            attributes: row.attributes,
            is_active: row.is_active,
            is_featured: row.is_featured,
        };
        Ok(Current { fields, category_path: row.category_path.unwrap_or_default(), version: row.version })
    })
    .transpose()
}

/// Makes a product, without variants yet; answers its id.
pub(crate) async fn insert(
    tx: &mut Tx,
    fields: &ProductFields,
    prices: PriceSpan,
    now: OffsetDateTime,
) -> Result<ProductId, sqlx::Error> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO products (slug, name, description, category_id, origin, roast, process, sca_score,
                                 attributes, price_min_amount, price_max_amount, compare_at_amount,
                                 is_active, is_featured, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8::int / 10.0,
                   $9, $10::bigint, $11::bigint, $12::bigint,
                   $13, $14, $15, $15)
           RETURNING id"#,
        fields.slug,
        fields.name,
        fields.description,
        fields.category.map(CategoryId::get),
        fields.origin,
        fields.roast.map(Roast::as_str),
        fields.process,
        fields.sca_score.map(ScaScore::tenths),
        fields.attributes,
        prices.min,
        prices.max,
        prices.compare_at,
        fields.is_active,
        fields.is_featured,
        now,
    )
    .fetch_one(&mut *tx.statement("INSERT products"))
    .await?;
    ProductId::parse("id", id).map_err(|refusal| sqlx::Error::Decode(refusal.into()))
}

/// Makes the variants of a product, in order, each with its base price from now on.
pub(crate) async fn insert_variants(
    tx: &mut Tx,
    product: ProductId,
    variants: &[NewVariant],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let column = |of: fn(&NewVariant) -> String| variants.iter().map(of).collect::<Vec<_>>();
    let options: Vec<Value> = variants.iter().map(|v| v.options.clone()).collect();
    let weights: Vec<i32> = variants.iter().map(|v| v.weight_g).collect();
    let amounts: Vec<i64> = variants.iter().map(|v| v.price.amount).collect();
    let compare_ats: Vec<Option<i64>> = variants.iter().map(|v| v.price.compare_at).collect();
    // One statement: foreign keys are checked at its end, when all rows are there.
    sqlx::query!(
        r#"WITH given AS (
                SELECT *
                  FROM unnest($2::text[], $3::text[], $4::jsonb[], $5::int[], $6::bigint[], $7::bigint[])
                       WITH ORDINALITY AS row (sku, name, options, weight_g, amount, compare_at_amount, position)),
           made AS (
                INSERT INTO variants (product_id, sku, name, options, weight_g, position)
                SELECT $1::bigint, sku, name, options, weight_g, position::int - 1 FROM given ORDER BY position
                RETURNING id, sku),
           priced AS (
                INSERT INTO prices (variant_id, price_list_id, amount, compare_at_amount)
                SELECT made.id, $8::bigint, given.amount, given.compare_at_amount FROM made JOIN given USING (sku))
           INSERT INTO price_history (variant_id, currency, amount, valid)
           SELECT made.id, 'BRL', given.amount, tstzrange($9::timestamptz, NULL) FROM made JOIN given USING (sku)"#,
        product.get(),
        &column(|v| v.sku.clone()),
        &column(|v| v.name.clone()),
        &options,
        &weights,
        &amounts,
        &compare_ats as &[Option<i64>],
        BASE_PRICE_LIST_ID,
        now,
    )
    .execute(&mut *tx.statement("INSERT variants"))
    .await?;
    Ok(())
}

/// Writes every field of a locked product and counts its version up; answers the new one.
pub(crate) async fn update(
    tx: &mut Tx,
    id: ProductId,
    fields: &ProductFields,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE products
              SET slug = $2, name = $3, description = $4, category_id = $5, origin = $6, roast = $7,
                  process = $8, sca_score = $9::int / 10.0, attributes = $10, is_active = $11,
                  is_featured = $12, updated_at = $13, version = version + 1
            WHERE id = $1
           RETURNING version"#,
        id.get(),
        fields.slug,
        fields.name,
        fields.description,
        fields.category.map(CategoryId::get),
        fields.origin,
        fields.roast.map(Roast::as_str),
        fields.process,
        fields.sca_score.map(ScaScore::tenths),
        fields.attributes,
        fields.is_active,
        fields.is_featured,
        now,
    )
    .fetch_one(&mut *tx.statement("UPDATE products"))
    .await
}

/// Takes a locked product off the shelves; answers its new version.
pub(crate) async fn deactivate(tx: &mut Tx, id: ProductId, now: OffsetDateTime) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE products
              SET is_active = false, updated_at = $2, version = version + 1
            WHERE id = $1
           RETURNING version"#,
        id.get(),
        now,
    )
    .fetch_one(&mut *tx.statement("UPDATE products"))
    .await
}
