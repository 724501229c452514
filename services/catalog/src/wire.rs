//! The contract's messages: read into domain types, written from them.

use prost_types::Timestamp;
use proto::catalog::v1 as pb;
use proto::events::v1::CategoryPath;
use time::OffsetDateTime;

use crate::domain::category::Category;
use crate::domain::patch::{Change, Patch};
use crate::domain::price::{Price, PriceChanges};
use crate::domain::product::{
    CategoryRef, Detail, Image, NewVariant, NewVariants, ProductFields, ScaScore, Summary, Variant, weight_g,
};
use crate::domain::quote::Quote;
use crate::domain::{CategoryId, Invalid, Roast, VariantId, is_new, text};

/// What a patch may name in `clear`.
const CLEARABLE: [&str; 5] = ["category_id", "origin", "roast", "process", "sca_score_tenths"];

/// Reads the fields of a product.
pub(crate) fn fields(fields: Option<pb::ProductFields>) -> Result<ProductFields, Invalid> {
    let fields = fields.ok_or_else(|| Invalid::value("fields", "must be given"))?;
    Ok(ProductFields {
        slug: text::slug("slug", fields.slug)?,
        name: text::name("name", fields.name)?,
        description: text::description("description", fields.description)?,
        category: fields.category_id.map(|id| CategoryId::parse("category_id", id)).transpose()?,
        origin: fields.origin.map(|origin| text::label("origin", origin)).transpose()?,
        roast: fields.roast.map(|roast| Roast::parse("roast", &roast)).transpose()?,
        process: fields.process.map(|process| text::label("process", process)).transpose()?,
        sca_score: fields
            .sca_score_tenths
            .map(|tenths| ScaScore::parse("sca_score_tenths", tenths))
            .transpose()?,
        attributes: text::attributes("attributes_json", &fields.attributes_json)?,
        is_active: fields.is_active,
        is_featured: fields.is_featured,
    })
}

/// Reads the variants of a product to be made.
pub(crate) fn new_variants(variants: Vec<pb::NewVariant>) -> Result<NewVariants, Invalid> {
    let variants = variants.into_iter().enumerate().map(|(index, variant)| {
        let field = |name: &str| format!("variants[{index}].{name}");
        Ok(NewVariant {
            sku: text::sku(&field("sku"), variant.sku)?,
            name: text::label(&field("name"), variant.name)?,
            options: text::options(&field("options_json"), &variant.options_json)?,
            weight_g: weight_g(&field("weight_g"), variant.weight_g)?,
            price: Price::parse(
                &field("price_amount"),
                variant.price_amount,
                &field("compare_at_amount"),
                variant.compare_at_amount,
            )?,
        })
    });
    NewVariants::parse("variants", variants.collect::<Result<_, Invalid>>()?)
}

/// Reads which fields of a product change.
pub(crate) fn patch(patch: pb::PatchProductRequest) -> Result<Patch, Invalid> {
    let cleared = patch.clear;
    if let Some(index) = cleared.iter().position(|field| !CLEARABLE.contains(&field.as_str())) {
        let rule = format!("must be one of {}", CLEARABLE.join(", "));
        return Err(Invalid::value(format!("clear[{index}]"), rule));
    }
    let is_cleared = |field: &str| cleared.iter().any(|name| name == field);
    Ok(Patch {
        slug: patch.slug.map(|slug| text::slug("slug", slug)).transpose()?,
        name: patch.name.map(|name| text::name("name", name)).transpose()?,
        description: patch.description.map(|text| text::description("description", text)).transpose()?,
        category: Change::parse(
            "category_id",
            patch.category_id.map(|id| CategoryId::parse("category_id", id)).transpose()?,
            is_cleared,
        )?,
        origin: Change::parse(
            "origin",
            patch.origin.map(|origin| text::label("origin", origin)).transpose()?,
            is_cleared,
        )?,
        roast: Change::parse(
            "roast",
            patch.roast.map(|roast| Roast::parse("roast", &roast)).transpose()?,
            is_cleared,
        )?,
        process: Change::parse(
            "process",
            patch.process.map(|process| text::label("process", process)).transpose()?,
            is_cleared,
        )?,
        sca_score: Change::parse(
            "sca_score_tenths",
            patch.sca_score_tenths.map(|tenths| ScaScore::parse("sca_score_tenths", tenths)).transpose()?,
            is_cleared,
        )?,
        attributes: patch
            .attributes_json
            .map(|json| text::attributes("attributes_json", &json))
            .transpose()?,
        is_active: patch.is_active,
        is_featured: patch.is_featured,
    })
}

/// Reads new prices.
pub(crate) fn prices(prices: Vec<pb::VariantPrice>) -> Result<PriceChanges, Invalid> {
    let prices = prices.into_iter().enumerate().map(|(index, price)| {
        let field = |name: &str| format!("prices[{index}].{name}");
        let variant = VariantId::parse(&field("variant_id"), price.variant_id)?;
        let price = Price::parse(
            &field("amount"),
            price.amount,
            &field("compare_at_amount"),
            price.compare_at_amount,
        )?;
        Ok((variant, price))
    });
    PriceChanges::parse("prices", prices.collect::<Result<_, Invalid>>()?)
}

/// A product of a list, as of `now`.
pub(crate) fn summary(summary: Summary, now: OffsetDateTime) -> pb::ProductSummary {
    pb::ProductSummary {
        id: summary.id,
        slug: summary.slug,
        name: summary.name,
        category: summary.category.map(category_ref),
        price: Some(price(summary.price, summary.currency)),
        stock_band: summary.stock_band,
        rating_sum: summary.rating_sum,
        rating_count: summary.rating_count,
        image: summary.image.map(image),
        is_featured: summary.is_featured,
        is_new: is_new(summary.created_at, now),
        is_active: summary.is_active,
        version: summary.version,
        created_at: Some(timestamp(summary.created_at)),
        origin: summary.origin,
        roast: summary.roast,
        process: summary.process,
        sca_score_tenths: summary.sca_score_tenths,
    }
}

/// A product's page, as of `now`.
pub(crate) fn product(detail: Detail, now: OffsetDateTime) -> pb::Product {
    pb::Product {
        summary: Some(summary(detail.summary, now)),
        description: detail.description,
        attributes_json: detail.attributes_json,
        variants: detail.variants.into_iter().map(variant).collect(),
        images: detail.images.into_iter().map(image).collect(),
        breadcrumbs: detail.breadcrumbs.into_iter().map(category_ref).collect(),
        updated_at: Some(timestamp(detail.updated_at)),
    }
}

/// A category by what a reader calls it.
pub(crate) fn category_ref(category: CategoryRef) -> pb::CategoryRef {
    pb::CategoryRef { id: category.id, name: category.name, slug: category.slug }
}

/// A category of a tree.
pub(crate) fn category(category: Category) -> pb::Category {
    pb::Category {
        id: category.id,
        name: category.name,
        slug: category.slug,
        parent_id: category.parent_id,
        position: category.position,
        product_count: category.products.unsigned_abs(),
        version: category.version,
    }
}

/// A category's ancestors and itself as events carry them; none for a product without category.
pub(crate) fn category_path(ids: &[i64]) -> Option<CategoryPath> {
    (!ids.is_empty()).then(|| CategoryPath { ids: ids.to_vec() })
}

/// A moment, exactly.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    let nanos =
        i32::try_from(at.nanosecond()).expect("a second has fewer nanoseconds than 31 bits can count");
    Timestamp { seconds: at.unix_timestamp(), nanos }
}

/// What a variant is and costs.
pub(crate) fn quote(quote: Quote) -> pb::QuotedVariant {
    pb::QuotedVariant {
        variant_id: quote.variant_id,
        product_id: quote.product_id,
        product_slug: quote.product_slug,
        product_name: quote.product_name,
        variant_name: quote.variant_name,
        sku: quote.sku,
        unit_amount: quote.unit_amount,
        currency: quote.currency,
        weight_g: quote.weight_g,
        image_url: quote.image_url,
        is_active: quote.is_active,
        product_version: quote.product_version,
    }
}

fn variant(variant: Variant) -> pb::Variant {
    pb::Variant {
        id: variant.id,
        sku: variant.sku,
        name: variant.name,
        options_json: variant.options_json,
        price: Some(price(variant.price, variant.currency)),
        weight_g: variant.weight_g,
        version: variant.version,
        stock_band: variant.stock_band,
    }
}

fn price(price: Price, currency: String) -> pb::Price {
    pb::Price {
        current: Some(pb::Money { amount: price.amount, currency }),
        compare_at_amount: price.compare_at,
    }
}

fn image(image: Image) -> pb::Image {
    pb::Image { id: image.id, url: image.url, width: image.width, height: image.height, alt: image.alt }
}
