//! Coupons as staff write and see them.

use proto::orders::v1 as pb;
use serde_json::json;

use super::{time, timestamp};
use crate::domain::Invalid;
use crate::domain::coupon::{Activity, Code, CouponFields, Kind, Offer, Rules};
use crate::store::coupons::CouponRow;

/// Reads the fields of a coupon; what the service counts is not read.
pub(crate) fn fields(coupon: Option<pb::Coupon>) -> Result<CouponFields, Invalid> {
    let coupon = coupon.ok_or_else(|| Invalid::value("coupon", "must be given"))?;
    let rules = coupon.rules.unwrap_or_default();
    let rules = Rules {
        min_items_amount: rules.min_items_amount,
        max_discount_amount: rules.max_discount_amount,
        product_ids: rules.product_ids,
        variant_ids: rules.variant_ids,
        buy_quantity: rules.buy_quantity,
        free_quantity: rules.free_quantity,
    };
    let starts_at = coupon.starts_at.map(|at| time("starts_at", at)).transpose()?;
    let ends_at = coupon.ends_at.map(|at| time("ends_at", at)).transpose()?;
    if let (Some(starts_at), Some(ends_at)) = (starts_at, ends_at)
        && ends_at <= starts_at
    {
        return Err(Invalid::value("ends_at", "must be after the start"));
    }
    if coupon.usage_limit.is_some_and(|limit| limit < 1) {
        return Err(Invalid::value("usage_limit", "must be at least 1"));
    }
    let per_customer_limit = match coupon.per_customer_limit {
        0 => 1,
        limit @ 1..=1_000 => limit,
        _ => return Err(Invalid::value("per_customer_limit", "must be 1 to 1000")),
    };
    Ok(CouponFields {
        code: Code::parse("code", &coupon.code)?,
        offer: Offer::parse(Kind::parse("kind", &coupon.kind)?, coupon.value, rules)?,
        usage_limit: coupon.usage_limit,
        per_customer_limit,
        starts_at,
        ends_at,
        activity: if coupon.is_active { Activity::Active } else { Activity::Inactive },
    })
}

/// A coupon as staff see it.
pub(crate) fn coupon(row: CouponRow) -> pb::Coupon {
    let rules = row.rules.0;
    pb::Coupon {
        code: row.code,
        kind: row.kind,
        value: row.value,
        rules: Some(pb::CouponRules {
            min_items_amount: rules.min_items_amount,
            max_discount_amount: rules.max_discount_amount,
            product_ids: rules.product_ids,
            variant_ids: rules.variant_ids,
            buy_quantity: rules.buy_quantity,
            free_quantity: rules.free_quantity,
        }),
        usage_limit: row.usage_limit,
        per_customer_limit: row.per_customer_limit,
        used: row.used,
        starts_at: row.starts_at.map(timestamp),
        ends_at: row.ends_at.map(timestamp),
        is_active: row.is_active,
        version: row.version,
    }
}

/// A coupon as the audit log keeps it.
pub(crate) fn audited(row: &CouponRow) -> serde_json::Value {
    json!({
        "kind": row.kind,
        "value": row.value,
        "rules": row.rules.0,
        "usage_limit": row.usage_limit,
        "per_customer_limit": row.per_customer_limit,
        "starts_at": row.starts_at.map(|at| at.unix_timestamp()),
        "ends_at": row.ends_at.map(|at| at.unix_timestamp()),
        "is_active": row.is_active,
        "version": row.version,
    })
}
