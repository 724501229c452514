//! Carts, shipping quotes and what can be bought, as the JSON of the API.

use proto::orders::v1 as orders;
use serde::Serialize;
use utoipa::ToSchema;

use super::Money;
use super::format::timestamp;

/// A cart with the prices of now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cart {
    /// Absent until something is put into it.
    pub id: Option<String>,
    /// `If-Match` for changes is `"c-<version>"`.
    pub version: i64,
    /// `active` or `locked`.
    pub state: String,
    pub currency: String,
    pub items: Vec<CartItem>,
    pub coupon: Option<CartCoupon>,
    pub totals: CartTotals,
    /// `price_changed`, `unavailable`, `low_stock`, `coupon_not_applicable`, `prices_unconfirmed`.
    pub warnings: Vec<String>,
    pub expires_at: Option<String>,
}

/// A line of a cart.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartItem {
    pub id: i64,
    pub variant_id: i64,
    pub product_id: i64,
    pub slug: String,
    pub name: String,
    pub variant_name: String,
    pub sku: String,
    pub image: Option<CartImage>,
    pub quantity: i32,
    pub unit_price: Money,
    /// The price when it was put into the cart or last confirmed.
    pub seen_unit_price: Money,
    pub price_changed: bool,
    pub line_total: Money,
    /// `in`, `low` or `out`.
    pub stock_band: String,
    /// False when it cannot be bought at all any more.
    pub available: bool,
    pub weight_g: i32,
}

/// An image of one size.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartImage {
    pub url: String,
}

/// A coupon in a cart. It is redeemed at checkout.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartCoupon {
    pub code: String,
    /// `percent`, `fixed`, `free_shipping` or `bxgy`.
    pub kind: String,
    pub discount: Money,
    /// Why it gives nothing now.
    pub not_applicable: Option<String>,
}

/// What a cart comes to.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartTotals {
    pub items: Money,
    pub discount: Money,
    /// The cheapest shipping known for this cart.
    pub shipping_estimate: Option<Money>,
    /// Included in the prices.
    pub tax: Money,
    pub total: Money,
}

/// What a merge did.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartMerge {
    /// `sum`, `max`, `guest` or `customer`.
    pub strategy: String,
    /// Lines of the guest's cart that are in the user's now.
    pub moved: i32,
    /// Variants of which a line cannot hold the sum.
    pub capped: Vec<i64>,
    /// Variants that the strategy left out.
    pub dropped: Vec<i64>,
}

/// A way to send something, and its price.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShippingQuote {
    /// To be named at checkout.
    pub id: String,
    pub carrier: String,
    pub service: String,
    pub price: Money,
    pub days_min: i32,
    pub days_max: i32,
    pub expires_at: String,
}

/// Where a postal code is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cep {
    pub cep: String,
    pub state: String,
    /// The region whose prices apply.
    pub region: String,
    /// Of the state's capital, when the code is there.
    pub city: Option<String>,
}

/// Whether a variant can be bought now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Availability {
    pub id: i64,
    pub available: bool,
    /// What one order may hold now.
    pub max_quantity: i32,
    /// `in`, `low` or `out`.
    pub band: String,
    /// When it would arrive, where that was asked.
    pub eta: Option<Eta>,
}

/// Days until something arrives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Eta {
    pub days_min: i32,
    pub days_max: i32,
}

impl Cart {
    /// An empty one.
    pub(crate) fn empty() -> Self {
        let cart = orders::Cart { state: "active".to_owned(), ..orders::Cart::default() };
        Self::of(&cart)
    }

    pub(crate) fn of(cart: &orders::Cart) -> Self {
        let currency = if cart.currency.is_empty() { "BRL" } else { cart.currency.as_str() };
        let money = |amount| Money::of(amount, currency);
        let totals = cart.totals.unwrap_or_default();
        Self {
            id: (!cart.id.is_empty()).then(|| cart.id.clone()),
            version: cart.version,
            state: cart.state.clone(),
            currency: currency.to_owned(),
            items: cart.items.iter().map(|item| CartItem::of(item, currency)).collect(),
            coupon: cart.coupon.as_ref().map(|coupon| CartCoupon {
                code: coupon.code.clone(),
                kind: coupon.kind.clone(),
                discount: money(coupon.discount_amount),
                not_applicable: Some(coupon.not_applicable.clone()).filter(|why| !why.is_empty()),
            }),
            totals: CartTotals {
                items: money(totals.items_amount),
                discount: money(totals.discount_amount),
                shipping_estimate: totals.shipping_amount.map(money),
                tax: money(totals.tax_amount),
                total: money(totals.total_amount),
            },
            warnings: cart.warnings.clone(),
            expires_at: cart.expires_at.as_ref().map(|at| timestamp(Some(at))),
        }
    }
}

impl CartItem {
    fn of(item: &orders::CartItem, currency: &str) -> Self {
        Self {
            id: item.id,
            variant_id: item.variant_id,
            product_id: item.product_id,
            slug: item.product_slug.clone(),
            name: item.name.clone(),
            variant_name: item.variant_name.clone(),
            sku: item.sku.clone(),
            image: item.image_url.clone().map(|url| CartImage { url }),
            quantity: item.quantity,
            unit_price: Money::of(item.unit_amount, currency),
            seen_unit_price: Money::of(item.seen_unit_amount, currency),
            price_changed: item.unit_amount != item.seen_unit_amount,
            line_total: Money::of(item.line_amount, currency),
            stock_band: item.stock_band.clone(),
            available: item.available,
            weight_g: item.weight_g,
        }
    }
}

impl CartMerge {
    pub(crate) fn of(report: orders::MergeReport) -> Self {
        Self {
            strategy: report.strategy,
            moved: report.moved,
            capped: report.capped_variant_ids,
            dropped: report.dropped_variant_ids,
        }
    }
}

impl ShippingQuote {
    pub(crate) fn of(quote: &orders::ShippingQuote) -> Self {
        Self {
            id: quote.id.clone(),
            carrier: quote.carrier.clone(),
            service: quote.service.clone(),
            price: Money::of(quote.amount, &quote.currency),
            days_min: quote.days_min,
            days_max: quote.days_max,
            expires_at: timestamp(quote.expires_at.as_ref()),
        }
    }
}

impl Cep {
    pub(crate) fn of(found: orders::LookUpCepResponse) -> Self {
        let orders::LookUpCepResponse { cep, state, region, city } = found;
        Self { cep, state, region, city: Some(city).filter(|city| !city.is_empty()) }
    }
}
