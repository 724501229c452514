//! Stock and coupons, as staff sees them.

use proto::orders::v1 as orders;
use serde::Serialize;
use utoipa::ToSchema;

use super::format::timestamp;

/// What is there of a variant at a place.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockLevel {
    pub variant_id: i64,
    pub product_id: i64,
    pub location_id: i32,
    pub on_hand: i32,
    pub reserved: i32,
    pub low_threshold: i32,
    /// Whether more may be sold than is there.
    pub backorder: bool,
    /// `in`, `low` or `out`.
    pub band: String,
    pub version: i64,
}

/// A coupon.
#[derive(Debug, Serialize, ToSchema)]
pub struct Coupon {
    pub code: String,
    /// `percent`, `fixed`, `free_shipping` or `bxgy`.
    pub kind: String,
    /// Hundredths of a percent, centavos, or 0.
    pub value: i64,
    pub rules: CouponRules,
    pub usage_limit: Option<i32>,
    pub per_customer_limit: i32,
    pub used: i32,
    pub starts_at: Option<String>,
    pub ends_at: Option<String>,
    pub is_active: bool,
    /// `If-Match` for changes is `"cp-<code>-v<version>"`.
    pub version: i64,
}

/// When a coupon gives something, and how much.
#[derive(Debug, Serialize, ToSchema)]
pub struct CouponRules {
    /// Centavos.
    pub min_items_amount: Option<i64>,
    /// The most a percentage gives, in centavos.
    pub max_discount_amount: Option<i64>,
    /// Applies to these only; to everything when both lists are empty.
    pub product_ids: Vec<i64>,
    pub variant_ids: Vec<i64>,
    /// Of `bxgy`: buy so many, so many of them are free, cheapest first.
    pub buy_quantity: i32,
    pub free_quantity: i32,
}

impl StockLevel {
    pub(crate) fn of(level: &orders::StockLevel) -> Self {
        Self {
            variant_id: level.variant_id,
            product_id: level.product_id,
            location_id: level.location_id,
            on_hand: level.on_hand,
            reserved: level.reserved,
            low_threshold: level.low_threshold,
            backorder: level.backorder,
            band: level.band.clone(),
            version: level.version,
        }
    }
}

impl Coupon {
    pub(crate) fn of(coupon: &orders::Coupon) -> Self {
        let moment = |at: &Option<prost_types::Timestamp>| at.as_ref().map(|at| timestamp(Some(at)));
        let rules = coupon.rules.clone().unwrap_or_default();
        Self {
            code: coupon.code.clone(),
            kind: coupon.kind.clone(),
            value: coupon.value,
            rules: CouponRules {
                min_items_amount: rules.min_items_amount,
                max_discount_amount: rules.max_discount_amount,
                product_ids: rules.product_ids,
                variant_ids: rules.variant_ids,
                buy_quantity: rules.buy_quantity,
                free_quantity: rules.free_quantity,
            },
            usage_limit: coupon.usage_limit,
            per_customer_limit: coupon.per_customer_limit,
            used: coupon.used,
            starts_at: moment(&coupon.starts_at),
            ends_at: moment(&coupon.ends_at),
            is_active: coupon.is_active,
            version: coupon.version,
        }
    }
}
