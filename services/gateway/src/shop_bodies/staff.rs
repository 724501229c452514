//! The bodies that staff change orders, stock and coupons with.

use std::ops::RangeInclusive;

use proto::orders::v1 as orders;
use proto::orders::v1::{
    ChangeOrderStatusRequest, CouponRules, CreateShipmentRequest, RefundOrderRequest, StockAdjustment,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::{AMOUNT_MAX, OrderLineBody, REASON_CHARS_MAX, id, object, order_lines, small, word};
use crate::cache_policy::ORDER_STATUSES;
use crate::error::{Error, Text};
use crate::fields::{Fields, Member, Mistakes};
use crate::json::Json;

/// Rows of one adjustment of stock.
const ROWS_MAX: usize = 1_000;
const ADJUSTMENT_REASON_CHARS_MAX: usize = 200;
const NOTE_CHARS_MAX: usize = 2_000;
/// Products and variants that a coupon may name.
const IDS_MAX: usize = 500;
const KINDS: [&str; 4] = ["percent", "fixed", "free_shipping", "bxgy"];

/// The next step of an order.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct OrderPatchBody {
    status: String,
    /// Up to 500 characters.
    reason: Option<String>,
}

/// Money that goes back.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct RefundBody {
    /// Centavos; everything not yet refunded when absent.
    amount: Option<i64>,
    /// Up to 500 characters.
    reason: String,
    /// Units that it is for.
    lines: Option<Vec<OrderLineBody>>,
}

/// A parcel. Everything that was not yet shipped when no line is named.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ShipmentBody {
    carrier: String,
    service: String,
    tracking_code: Option<String>,
    lines: Option<Vec<OrderLineBody>>,
}

/// What staff want to remember of an order.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct NoteBody {
    /// Up to 2,000 characters.
    body: String,
}

/// One row: either `delta`, or `from`, which must be what is there, and `to`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct AdjustmentBody {
    variant_id: i64,
    /// 1 when absent.
    location_id: Option<i32>,
    delta: Option<i32>,
    from: Option<i32>,
    to: Option<i32>,
    /// Up to 200 characters.
    reason: String,
}

/// All fields of a coupon.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct CouponBody {
    /// 3 to 40 capitals, digits and hyphens; in the path when it is replaced.
    code: Option<String>,
    /// `percent`, `fixed`, `free_shipping` or `bxgy`.
    kind: String,
    /// Hundredths of a percent, centavos, or 0.
    value: Option<i64>,
    rules: Option<CouponRulesBody>,
    /// For everybody together; without limit when absent.
    usage_limit: Option<i32>,
    /// 1 when absent.
    per_customer_limit: Option<i32>,
    /// RFC 3339.
    starts_at: Option<String>,
    ends_at: Option<String>,
    /// True when absent.
    is_active: Option<bool>,
}

/// When a coupon gives something.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct CouponRulesBody {
    min_items_amount: Option<i64>,
    max_discount_amount: Option<i64>,
    product_ids: Option<Vec<i64>>,
    variant_ids: Option<Vec<i64>>,
    buy_quantity: Option<i32>,
    free_quantity: Option<i32>,
}

/// Reads an [`OrderPatchBody`]; order and version are the caller's to fill in.
pub fn order_patch(body: Json) -> Result<ChangeOrderStatusRequest, Error> {
    object(body, |fields| {
        let status = word(fields, "status", &ORDER_STATUSES);
        ChangeOrderStatusRequest {
            status: fields.required("status", status),
            reason: fields.string("reason", 1..=REASON_CHARS_MAX).present(),
            ..ChangeOrderStatusRequest::default()
        }
    })
}

/// Reads a [`RefundBody`]; the order is the caller's to fill in.
pub fn refund(body: Json) -> Result<RefundOrderRequest, Error> {
    object(body, |fields| {
        let reason = fields.string("reason", 1..=REASON_CHARS_MAX);
        RefundOrderRequest {
            order_id: 0,
            amount: fields.integer("amount", 1..=AMOUNT_MAX).present(),
            reason: fields.required("reason", reason),
            lines: order_lines(fields, 1).present().unwrap_or_default(),
        }
    })
}

/// Reads a [`ShipmentBody`]; order and version are the caller's to fill in.
pub fn shipment(body: Json) -> Result<CreateShipmentRequest, Error> {
    object(body, |fields| {
        let (carrier, service) = (fields.string("carrier", 1..=60), fields.string("service", 1..=60));
        CreateShipmentRequest {
            carrier: fields.required("carrier", carrier),
            service: fields.required("service", service),
            tracking_code: fields.string("tracking_code", 1..=64).present(),
            lines: order_lines(fields, 1).present().unwrap_or_default(),
            ..CreateShipmentRequest::default()
        }
    })
}

/// Reads a [`NoteBody`].
pub fn note(body: Json) -> Result<String, Error> {
    object(body, |fields| {
        let body = fields.string("body", 1..=NOTE_CHARS_MAX);
        fields.required("body", body)
    })
}

/// Reads a list of [`AdjustmentBody`].
pub fn adjustments(body: Json) -> Result<Vec<StockAdjustment>, Error> {
    let mut mistakes = Mistakes::default();
    let rows = match body {
        Json::Array(rows) if (1..=ROWS_MAX).contains(&rows.len()) => rows,
        _ => {
            let detail = Text::fixed("uma lista de 1 a 1000 linhas", "a list of 1 to 1000 rows");
            mistakes.add("", "type", detail);
            Vec::new()
        }
    };
    let mut adjustments = Vec::with_capacity(rows.len());
    for (position, row) in rows.into_iter().enumerate() {
        let mut fields = Fields::of(row, format!("/{position}"), &mut mistakes);
        adjustments.push(adjustment(&mut fields));
        fields.finish();
    }
    mistakes.finish(adjustments)
}

fn adjustment(fields: &mut Fields<'_>) -> StockAdjustment {
    const ANY: RangeInclusive<i64> = -1_000_000..=1_000_000;
    const COUNT: RangeInclusive<i64> = 0..=1_000_000;
    let number = |member: Member<i64>| member.present().map(small);
    let delta = number(fields.integer("delta", ANY));
    let (from, to) = (number(fields.integer("from", COUNT)), number(fields.integer("to", COUNT)));
    if !matches!((delta, from, to), (Some(_), None, None) | (None, Some(_), Some(_))) {
        fields.mistake("delta", "required", Text::fixed("delta, ou from e to", "delta, or from and to"));
    }
    let reason = fields.string("reason", 1..=ADJUSTMENT_REASON_CHARS_MAX);
    StockAdjustment {
        variant_id: id(fields, "variant_id"),
        location_id: number(fields.integer("location_id", 1..=i64::from(i32::MAX))).unwrap_or_default(),
        delta,
        from,
        to,
        reason: fields.required("reason", reason),
    }
}

/// Reads a [`CouponBody`]. `code` is the one in the path, which the body may repeat.
pub fn coupon(body: Json, code: Option<&str>) -> Result<orders::Coupon, Error> {
    object(body, |fields| {
        let named = fields.string("code", 3..=40);
        let code = match code {
            None => fields.required("code", named),
            Some(code) => {
                if named.present().is_some_and(|named| named != code) {
                    let detail = Text::fixed("não é o do endereço", "is not that of the address");
                    fields.mistake("code", "invalid", detail);
                }
                code.to_owned()
            }
        };
        let kind = word(fields, "kind", &KINDS);
        let kind = fields.required("kind", kind);
        let limit = |fields: &mut Fields<'_>, name: &str| {
            fields.integer(name, 1..=i64::from(i32::MAX)).present().map(small)
        };
        orders::Coupon {
            code,
            kind,
            value: fields.integer("value", 0..=AMOUNT_MAX).present().unwrap_or_default(),
            rules: Some(fields.part("rules", rules).present().unwrap_or_default()),
            usage_limit: limit(fields, "usage_limit"),
            per_customer_limit: limit(fields, "per_customer_limit").unwrap_or(1),
            used: 0,
            starts_at: moment(fields, "starts_at"),
            ends_at: moment(fields, "ends_at"),
            is_active: fields.boolean("is_active").present().unwrap_or(true),
            version: 0,
        }
    })
}

fn rules(fields: &mut Fields<'_>) -> CouponRules {
    let units = |fields: &mut Fields<'_>, name: &str| {
        small(fields.integer(name, 0..=99).present().unwrap_or_default())
    };
    CouponRules {
        min_items_amount: fields.integer("min_items_amount", 0..=AMOUNT_MAX).present(),
        max_discount_amount: fields.integer("max_discount_amount", 0..=AMOUNT_MAX).present(),
        product_ids: ids(fields, "product_ids"),
        variant_ids: ids(fields, "variant_ids"),
        buy_quantity: units(fields, "buy_quantity"),
        free_quantity: units(fields, "free_quantity"),
    }
}

fn ids(fields: &mut Fields<'_>, name: &str) -> Vec<i64> {
    let elements = match fields.take(name) {
        Member::Absent | Member::Null => return Vec::new(),
        Member::Present(Json::Array(elements)) if elements.len() <= IDS_MAX => elements,
        Member::Present(_) => {
            fields.mistake(name, "type", Text::fixed("uma lista de até 500 ids", "a list of up to 500 ids"));
            return Vec::new();
        }
    };
    let id = |element: &Json| match element {
        Json::Integer(id) if *id > 0 => Some(*id),
        _ => None,
    };
    let ids: Option<Vec<i64>> = elements.iter().map(id).collect();
    ids.unwrap_or_else(|| {
        fields.mistake(name, "type", Text::fixed("inteiros positivos", "positive integers"));
        Vec::new()
    })
}

fn moment(fields: &mut Fields<'_>, name: &str) -> Option<prost_types::Timestamp> {
    let text = fields.string(name, 1..=64).present()?;
    let Ok(at) = OffsetDateTime::parse(&text, &Rfc3339) else {
        if !text.is_empty() {
            let (pt, en) = ("um instante RFC 3339", "an RFC 3339 moment");
            fields.mistake(name, "format", Text::fixed(pt, en));
        }
        return None;
    };
    Some(prost_types::Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.nanosecond()).unwrap_or_default(),
    })
}
