//! Orders as the JSON of the API.

use proto::orders::v1 as orders;
use serde::Serialize;
use utoipa::ToSchema;

use super::format::timestamp;
use super::{Money, Payment};
use crate::query::Subset;

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub struct Order {
    pub id: i64,
    /// As people say it.
    #[schema(example = "MC-2026-000123")]
    pub number: String,
    /// Absent for a guest's.
    pub user_id: Option<i64>,
    /// `pending_payment`, `paid`, `processing`, `shipped`, `delivered`, `cancelled`, `payment_failed`, `expired`,
    /// `return_requested`, `returned`, `refunded` or `partially_refunded`.
    pub status: String,
    pub currency: String,
    pub totals: OrderTotals,
    pub items: Vec<OrderItem>,
    pub taxes: Vec<Tax>,
    pub shipping_address: Option<ShippingAddress>,
    pub shipping_service: String,
    pub coupon_code: Option<String>,
    pub version: i64,
    pub created_at: String,
    /// While it waits for payment.
    pub reserved_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<TimelineEntry>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipments: Option<Vec<Shipment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payments: Option<Vec<Payment>>,
    /// Only shown to staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<Vec<Note>>,
}

/// What an order comes to.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderTotals {
    pub items: Money,
    pub discount: Money,
    pub shipping: Money,
    /// Included in the others.
    pub tax: Money,
    pub total: Money,
    pub refunded: Money,
}

/// A line of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderItem {
    pub line: i32,
    pub product_id: i64,
    pub variant_id: i64,
    pub sku: String,
    pub name: String,
    pub quantity: i32,
    pub unit_price: Money,
    pub discount: Money,
    pub total: Money,
    pub cancelled: i32,
    pub fulfilled: i32,
    pub refunded: i32,
}

/// A tax that the prices contain.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tax {
    pub name: String,
    /// Hundredths of a percent.
    pub rate_basis_points: i32,
    pub amount: Money,
}

/// Where an order goes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShippingAddress {
    pub recipient: String,
    pub line1: String,
    pub line2: Option<String>,
    pub district: Option<String>,
    pub city: String,
    pub state: String,
    pub postal_code: String,
    pub country: String,
}

/// A step of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineEntry {
    pub seq: i64,
    /// Absent for the first.
    pub from_status: Option<String>,
    pub to_status: String,
    /// `customer`, `staff`, `system` or `provider`.
    pub actor: String,
    pub reason: Option<String>,
    pub at: String,
}

/// A parcel.
#[derive(Debug, Serialize, ToSchema)]
pub struct Shipment {
    pub id: i64,
    pub carrier: String,
    pub service: String,
    pub tracking_code: Option<String>,
    /// `ready`, `shipped`, `delivered` or `returned`.
    pub status: String,
    pub shipped_at: Option<String>,
    pub delivered_at: Option<String>,
}

/// What staff wrote down about an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct Note {
    pub id: i64,
    pub author_id: i64,
    pub body: String,
    pub at: String,
}

/// An order in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderSummary {
    pub id: i64,
    #[schema(example = "MC-2026-000123")]
    pub number: String,
    pub status: String,
    /// Lines.
    pub items_count: i64,
    pub total: Money,
    pub created_at: String,
    /// Only shown to staff; absent for a guest's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<i64>,
    /// Only shown to staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// The parts of an order that a view shows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parts {
    /// Those of [`crate::cache_policy::ORDER_PARTS`] that were asked for.
    Asked(Subset),
    /// All that a buyer may see.
    Buyers,
    /// All, notes included.
    Staffs,
}

impl Parts {
    fn shows(self, position: usize) -> bool {
        match self {
            Self::Asked(subset) => subset.contains(position),
            Self::Buyers | Self::Staffs => true,
        }
    }
}

impl Order {
    pub(crate) fn of(order: &orders::Order, parts: Parts) -> Self {
        let currency = order.currency.as_str();
        let payments = || order.payments.iter().map(Payment::of).collect();
        Self {
            id: order.id,
            number: order.number.clone(),
            user_id: order.user_id,
            status: order.status.clone(),
            currency: order.currency.clone(),
            totals: OrderTotals::of(order),
            items: order.items.iter().map(|item| OrderItem::of(item, currency)).collect(),
            taxes: order.taxes.iter().map(|tax| Tax::of(tax, currency)).collect(),
            shipping_address: order.shipping_address.as_ref().map(ShippingAddress::of),
            shipping_service: order.shipping_service.clone(),
            coupon_code: order.coupon_code.clone(),
            version: order.version,
            created_at: timestamp(order.created_at.as_ref()),
            reserved_until: moment(order.reserved_until.as_ref()),
            history: parts.shows(0).then(|| order.history.iter().map(TimelineEntry::of).collect()),
            shipments: parts.shows(1).then(|| order.shipments.iter().map(Shipment::of).collect()),
            payments: parts.shows(2).then(payments),
            notes: match parts {
                Parts::Staffs => Some(order.notes.iter().map(Note::of).collect()),
                Parts::Asked(_) | Parts::Buyers => None,
            },
        }
    }
}

impl OrderTotals {
    pub(crate) fn of(order: &orders::Order) -> Self {
        let money = |amount| Money::of(amount, &order.currency);
        Self {
            items: money(order.items_amount),
            discount: money(order.discount_amount),
            shipping: money(order.shipping_amount),
            tax: money(order.tax_amount),
            total: money(order.total_amount),
            refunded: money(order.refunded_amount),
        }
    }
}

impl OrderItem {
    pub(crate) fn of(item: &orders::OrderItem, currency: &str) -> Self {
        Self {
            line: item.line,
            product_id: item.product_id,
            variant_id: item.variant_id,
            sku: item.sku.clone(),
            name: item.name.clone(),
            quantity: item.quantity,
            unit_price: Money::of(item.unit_amount, currency),
            discount: Money::of(item.discount_amount, currency),
            total: Money::of(item.total_amount, currency),
            cancelled: item.cancelled,
            fulfilled: item.fulfilled,
            refunded: item.refunded,
        }
    }
}

impl Tax {
    fn of(tax: &orders::TaxLine, currency: &str) -> Self {
        Self {
            name: tax.name.clone(),
            rate_basis_points: tax.rate_basis_points,
            amount: Money::of(tax.amount, currency),
        }
    }
}

impl ShippingAddress {
    fn of(address: &orders::Address) -> Self {
        let orders::Address { recipient, line1, line2, district, city, state, postal_code, country } =
            address.clone();
        Self { recipient, line1, line2, district, city, state, postal_code, country }
    }
}

impl TimelineEntry {
    pub(crate) fn of(entry: &orders::TimelineEntry) -> Self {
        Self {
            seq: entry.seq,
            from_status: Some(entry.from_status.clone()).filter(|status| !status.is_empty()),
            to_status: entry.to_status.clone(),
            actor: entry.actor.clone(),
            reason: entry.reason.clone(),
            at: timestamp(entry.at.as_ref()),
        }
    }
}

impl Shipment {
    fn of(shipment: &orders::Shipment) -> Self {
        Self {
            id: shipment.id,
            carrier: shipment.carrier.clone(),
            service: shipment.service.clone(),
            tracking_code: shipment.tracking_code.clone(),
            status: shipment.status.clone(),
            shipped_at: moment(shipment.shipped_at.as_ref()),
            delivered_at: moment(shipment.delivered_at.as_ref()),
        }
    }
}

impl Note {
    fn of(note: &orders::Note) -> Self {
        Self {
            id: note.id,
            author_id: note.author_id,
            body: note.body.clone(),
            at: timestamp(note.at.as_ref()),
        }
    }
}

impl OrderSummary {
    /// As its buyer sees it.
    pub(crate) fn of(order: &orders::OrderSummary) -> Self {
        Self {
            id: order.id,
            number: order.number.clone(),
            status: order.status.clone(),
            items_count: order.items_count,
            total: Money::of(order.total_amount, &order.currency),
            created_at: timestamp(order.created_at.as_ref()),
            user_id: None,
            version: None,
        }
    }

    /// As staff sees it.
    pub(crate) fn of_admin(order: &orders::OrderSummary) -> Self {
        Self { user_id: order.user_id, version: Some(order.version), ..Self::of(order) }
    }
}

fn moment(at: Option<&prost_types::Timestamp>) -> Option<String> {
    at.map(|at| timestamp(Some(at)))
}
