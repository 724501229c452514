//! The services' answers as the JSON of the API.

mod account;
mod agenda;
mod cart;
mod format;
mod notification;
mod order;
mod payment;
mod stock;

use proto::catalog::v1 as catalog;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub use self::account::{Address, DataJob, Session, User};
pub use self::agenda::{Event, Professional, ProfessionalRef, Report, Scores};
pub use self::cart::{
    Availability, Cart, CartCoupon, CartImage, CartItem, CartMerge, CartTotals, Cep, Eta, ShippingQuote,
};
pub use self::format::{formatted, rfc3339};
pub(crate) use self::format::{instant, timestamp};
pub use self::notification::{Notification, Preference};
pub(crate) use self::order::Parts;
pub use self::order::{
    Note, Order, OrderItem, OrderSummary, OrderTotals, Shipment, ShippingAddress, Tax, TimelineEntry,
};
pub use self::payment::{NextAction, Payment, Refund};
pub use self::stock::{Coupon, CouponRules, StockLevel};
use crate::query::Subset;

/// An amount of money in minor units.
#[derive(Debug, Serialize, ToSchema)]
pub struct Money {
    /// Centavos.
    pub amount: i64,
    /// ISO 4217.
    #[schema(example = "BRL")]
    pub currency: String,
    /// For display.
    #[schema(example = "R$ 42,90")]
    pub formatted: String,
}

/// A price, and the one before a reduction.
#[derive(Debug, Serialize, ToSchema)]
pub struct Price {
    /// Centavos.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// For display.
    pub formatted: String,
    /// The price before a reduction.
    pub compare_at: Option<Money>,
}

/// A category, where something else is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryRef {
    pub id: i64,
    pub name: String,
    pub slug: String,
}

/// An image that scales.
#[derive(Debug, Serialize, ToSchema)]
pub struct Image {
    pub url: String,
    pub srcset: String,
    pub width: i32,
    pub height: i32,
    pub alt: String,
}

/// What buyers thought.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rating {
    /// 1 to 5 with one decimal; absent without ratings.
    pub average: Option<f64>,
    pub count: i64,
}

/// A product in a list. `fields` leaves members out.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ProductSummary {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CategoryRef>)]
    pub category: Option<Option<CategoryRef>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Until when the price is known to hold: not limited, so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub price_valid_until: Option<Option<String>>,
    /// `in`, `low` or `out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock_band: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Image>)]
    pub image: Option<Option<Image>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_featured: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_new: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub origin: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub roast: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub process: Option<Option<String>>,
    /// Points of the Specialty Coffee Association, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub sca_score: Option<Option<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Only shown to staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// A form in which a product is sold.
#[derive(Debug, Serialize, ToSchema)]
pub struct Variant {
    pub id: i64,
    pub sku: String,
    pub name: String,
    /// For instance weight and grind.
    #[schema(value_type = Object)]
    pub options: Box<RawValue>,
    pub price: Price,
    pub weight_g: i32,
    /// in, low or out.
    pub stock_band: String,
    pub version: i64,
}

/// A product with everything about it. `fields` leaves members out.
#[derive(Debug, Serialize, ToSchema)]
pub struct Product {
    #[serde(flatten)]
    pub summary: ProductSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub attributes: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variants: Option<Vec<Variant>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<Image>>,
    /// Root first, the product's own category last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breadcrumbs: Option<Vec<CategoryRef>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// Where a list page stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pagination {
    /// Absent for pages reached by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    pub per_page: u32,
    /// Absent with `count=none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_exact: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<u64>,
    pub next_cursor: Option<String>,
    pub prev_cursor: Option<String>,
}

/// A category with the number of active products in it and below it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Category {
    pub id: i64,
    pub name: String,
    pub slug: String,
    pub parent_id: Option<i64>,
    pub position: i32,
    pub product_count: u64,
    pub version: i64,
}

/// A category and the categories below it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryNode {
    #[serde(flatten)]
    pub category: Category,
    #[schema(no_recursion)]
    pub children: Vec<CategoryNode>,
}

/// The envelope of every answer below `/api/v1`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Data<T> {
    pub data: T,
}

/// The envelope's bytes.
pub fn envelope<T: Serialize>(data: T) -> Vec<u8> {
    serde_json::to_vec(&Data { data }).expect("views hold nothing that JSON cannot")
}

impl Money {
    pub(crate) fn of(amount: i64, currency: &str) -> Self {
        Self { amount, formatted: formatted(amount, currency), currency: currency.to_owned() }
    }
}

impl Price {
    fn of(price: Option<&catalog::Price>) -> Self {
        let current = price.and_then(|price| price.current.clone()).unwrap_or_default();
        let compare_at = price.and_then(|price| price.compare_at_amount);
        Self {
            amount: current.amount,
            formatted: formatted(current.amount, &current.currency),
            compare_at: compare_at.map(|amount| Money {
                amount,
                formatted: formatted(amount, &current.currency),
                currency: current.currency.clone(),
            }),
            currency: current.currency,
        }
    }
}

impl CategoryRef {
    pub(crate) fn of(category: &catalog::CategoryRef) -> Self {
        Self { id: category.id, name: category.name.clone(), slug: category.slug.clone() }
    }
}

impl Image {
    fn of(image: &catalog::Image) -> Self {
        Self {
            url: image.url.clone(),
            srcset: format!("{} {}w", image.url, image.width),
            width: image.width,
            height: image.height,
            alt: image.alt.clone(),
        }
    }
}

/// The positions of [`crate::listing::SUMMARY_FIELDS`].
impl ProductSummary {
    /// The chosen members of a product as the public sees it.
    pub(crate) fn of(product: &catalog::ProductSummary, fields: Option<Subset>) -> Self {
        let shown = |position| fields.is_none_or(|fields| fields.contains(position));
        Self {
            id: shown(0).then_some(product.id),
            slug: shown(1).then(|| product.slug.clone()),
            name: shown(2).then(|| product.name.clone()),
            category: shown(3).then(|| product.category.as_ref().map(CategoryRef::of)),
            price: shown(4).then(|| Price::of(product.price.as_ref())),
            price_valid_until: shown(4).then_some(None),
            stock_band: shown(5).then(|| product.stock_band.clone()),
            rating: shown(6).then(|| Rating::of(product.rating_sum, product.rating_count)),
            image: shown(7).then(|| product.image.as_ref().map(Image::of)),
            is_featured: shown(8).then_some(product.is_featured),
            is_new: shown(9).then_some(product.is_new),
            origin: shown(10).then(|| product.origin.clone()),
            roast: shown(11).then(|| product.roast.clone()),
            process: shown(12).then(|| product.process.clone()),
            sca_score: shown(13).then(|| product.sca_score_tenths.map(|tenths| f64::from(tenths) / 10.0)),
            version: shown(14).then_some(product.version),
            created_at: shown(15).then(|| timestamp(product.created_at.as_ref())),
            is_active: None,
        }
    }

    /// A product as staff sees it.
    pub(crate) fn of_admin(product: &catalog::ProductSummary) -> Self {
        Self { is_active: Some(product.is_active), ..Self::of(product, None) }
    }
}

impl Rating {
    fn of(sum: i64, count: i64) -> Self {
        // In tenths and rounded, so that the decimal is the only one.
        let average = (count > 0).then(|| ((sum * 10 + count / 2) / count) as f64 / 10.0);
        Self { average, count }
    }
}

impl Product {
    /// The chosen members, by their positions in [`crate::handlers::products::PRODUCT_FIELDS`].
    pub(crate) fn of(product: &catalog::Product, fields: Option<Subset>) -> Self {
        let first = crate::listing::SUMMARY_FIELDS.len();
        let shown = |position: usize| fields.is_none_or(|fields| fields.contains(first + position));
        let summary = product.summary.as_ref();
        Self {
            summary: summary.map(|summary| ProductSummary::of(summary, fields)).unwrap_or_default(),
            description: shown(0).then(|| product.description.clone()),
            attributes: shown(1).then(|| object(&product.attributes_json)),
            variants: shown(2).then(|| product.variants.iter().map(Variant::of).collect()),
            images: shown(3).then(|| product.images.iter().map(Image::of).collect()),
            breadcrumbs: shown(4).then(|| product.breadcrumbs.iter().map(CategoryRef::of).collect()),
            updated_at: shown(5).then(|| timestamp(product.updated_at.as_ref())),
        }
    }

    /// Everything, as staff sees it.
    pub(crate) fn of_admin(product: &catalog::Product) -> Self {
        let mut view = Self::of(product, None);
        view.summary.is_active = product.summary.as_ref().map(|summary| summary.is_active);
        view
    }
}

impl Variant {
    fn of(variant: &catalog::Variant) -> Self {
        Self {
            id: variant.id,
            sku: variant.sku.clone(),
            name: variant.name.clone(),
            options: object(&variant.options_json),
            price: Price::of(variant.price.as_ref()),
            weight_g: variant.weight_g,
            stock_band: variant.stock_band.clone(),
            version: variant.version,
        }
    }
}

impl Pagination {
    pub(crate) fn of(pagination: &catalog::Pagination) -> Self {
        let per_page = pagination.per_page.max(1);
        Self {
            page: (pagination.page > 0).then_some(pagination.page),
            per_page: pagination.per_page,
            total: pagination.total,
            total_exact: pagination.total.map(|_| pagination.total_exact),
            pages: pagination.total.map(|total| total.div_ceil(u64::from(per_page))),
            next_cursor: pagination.next_cursor.clone(),
            prev_cursor: pagination.prev_cursor.clone(),
        }
    }

    /// A page that is reached by its number only, of a list counted exactly.
    pub(crate) fn numbered(page: u32, per_page: u32, total: u64) -> Self {
        Self::of(&catalog::Pagination {
            page,
            per_page,
            total: Some(total),
            total_exact: true,
            ..catalog::Pagination::default()
        })
    }
}

impl Category {
    pub(crate) fn of(category: &catalog::Category) -> Self {
        Self {
            id: category.id,
            name: category.name.clone(),
            slug: category.slug.clone(),
            parent_id: category.parent_id,
            position: category.position,
            product_count: category.product_count,
            version: category.version,
        }
    }
}

impl CategoryNode {
    /// The tree of a list in which parents come before their children. A category whose parent is not in the
    /// list becomes a root.
    pub(crate) fn tree(categories: &[catalog::Category]) -> Vec<Self> {
        let known = |id: Option<i64>| id.filter(|id| categories.iter().any(|category| category.id == *id));
        fn below(
            parent: Option<i64>,
            categories: &[catalog::Category],
            known: &impl Fn(Option<i64>) -> Option<i64>,
            depth: usize,
        ) -> Vec<CategoryNode> {
            // Deeper than any tree of ours: a cycle must not hang the answer.
            if depth > 16 {
                return Vec::new();
            }
            let own = categories.iter().filter(|category| known(category.parent_id) == parent);
            own.map(|category| CategoryNode {
                category: Category::of(category),
                children: below(Some(category.id), categories, known, depth + 1),
            })
            .collect()
        }
        below(None, categories, &known, 0)
    }
}

/// A JSON object that a service stores as text.
fn object(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned())
        .unwrap_or_else(|_| RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"))
}
