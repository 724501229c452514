//! Orders in the contract's words.

use prost_types::Timestamp;
use proto::orders::v1 as pb;
use time::OffsetDateTime;

use crate::domain::Invalid;
use crate::domain::order::{Status, Units};
use crate::store::order_changes::NoteRow;
use crate::store::orders::{
    AttemptRow, EntryRow, Filter, ItemRow, OrderRow, StoredAddress, StoredShipment, StoredTax, SummaryRow,
};

const STATUSES_MAX: usize = 12;

/// An order with everything that its readers may see.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) order: OrderRow,
    pub(crate) items: Vec<ItemRow>,
    pub(crate) history: Vec<EntryRow>,
    pub(crate) payments: Vec<AttemptRow>,
    /// For staff only.
    pub(crate) notes: Vec<NoteRow>,
}

/// An order as readers see it.
pub(crate) fn order(parts: Parts) -> pb::Order {
    let Parts { order, items, history, payments, notes } = parts;
    let waits = Status::stored(&order.status).is_unpaid();
    pb::Order {
        id: order.id,
        number: order.number,
        user_id: order.user_id,
        status: order.status,
        currency: order.currency,
        items_amount: order.items_amount,
        discount_amount: order.discount_amount,
        shipping_amount: order.shipping_amount,
        tax_amount: order.tax_amount,
        total_amount: order.total_amount,
        refunded_amount: order.refunded_amount,
        items: items.into_iter().map(item).collect(),
        shipping_address: order.shipping_address.map(|stored| address(stored.0)),
        shipping_service: order.shipping_service,
        coupon_code: order.coupon_code,
        version: order.version,
        created_at: Some(timestamp(order.created_at)),
        reserved_until: order.reserved_until.filter(|_| waits).map(timestamp),
        history: history.into_iter().map(entry).collect(),
        shipments: order.shipments.0.into_iter().map(shipment).collect(),
        payments: payments.into_iter().map(payment).collect(),
        notes: notes.into_iter().map(note).collect(),
        taxes: order.taxes.0.into_iter().map(tax).collect(),
    }
}

pub(crate) fn item(row: ItemRow) -> pb::OrderItem {
    pb::OrderItem {
        line: row.line,
        product_id: row.product_id,
        variant_id: row.variant_id,
        sku: row.sku,
        name: row.name,
        quantity: row.quantity,
        unit_amount: row.unit_amount,
        discount_amount: row.discount_amount,
        total_amount: row.total_amount,
        cancelled: row.cancelled,
        fulfilled: row.fulfilled,
        refunded: row.refunded,
    }
}

/// A line of a list.
pub(crate) fn summary(row: SummaryRow) -> pb::OrderSummary {
    pb::OrderSummary {
        id: row.id,
        number: row.number,
        status: row.status,
        items_count: row.items_count,
        total_amount: row.total_amount,
        currency: row.currency,
        created_at: Some(timestamp(row.created_at)),
        user_id: row.user_id,
        version: row.version,
    }
}

/// An entry of a timeline.
pub(crate) fn entry(row: EntryRow) -> pb::TimelineEntry {
    pb::TimelineEntry {
        seq: row.seq.into(),
        from_status: row.from_status.unwrap_or_default(),
        to_status: row.to_status,
        actor: row.actor,
        reason: row.reason,
        at: Some(timestamp(row.at)),
    }
}

pub(crate) fn tax(tax: StoredTax) -> pb::TaxLine {
    pb::TaxLine { name: tax.name, rate_basis_points: tax.rate_basis_points, amount: tax.amount }
}

pub(crate) fn address(stored: StoredAddress) -> pb::Address {
    pb::Address {
        recipient: stored.recipient,
        line1: stored.line1,
        line2: stored.line2,
        district: stored.district,
        city: stored.city,
        state: stored.state,
        postal_code: stored.postal_code,
        country: stored.country,
    }
}

fn shipment(row: StoredShipment) -> pb::Shipment {
    pb::Shipment {
        id: row.id,
        carrier: row.carrier,
        service: row.service,
        tracking_code: row.tracking_code,
        status: row.status,
        shipped_at: row.shipped_us.and_then(microseconds),
        delivered_at: row.delivered_us.and_then(microseconds),
    }
}

fn note(row: NoteRow) -> pb::Note {
    pb::Note { id: row.id, author_id: row.author_id, body: row.body, at: Some(timestamp(row.at)) }
}

fn payment(row: AttemptRow) -> pb::Payment {
    crate::wire::payment::shown(row)
}

/// Reads which orders a list shows.
pub(crate) fn filter(
    statuses: &[String],
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Filter, Invalid> {
    if statuses.len() > STATUSES_MAX {
        return Err(Invalid::value("statuses", format!("must be at most {STATUSES_MAX}")));
    }
    let statuses = statuses
        .iter()
        .map(|word| Status::parse("statuses", word).map(Status::as_str))
        .collect::<Result<_, _>>()?;
    let moment = |field: &str, at: Option<Timestamp>| at.map(|at| moment(field, at)).transpose();
    Ok(Filter { statuses, from: moment("from", from)?, to: moment("to", to)? })
}

/// Reads units of lines.
pub(crate) fn units(lines: Vec<pb::OrderLine>) -> Result<Vec<Units>, Invalid> {
    Units::parse_all(lines.into_iter().map(|line| (line.line, line.quantity, line.reason)))
}

fn moment(field: &str, at: Timestamp) -> Result<OffsetDateTime, Invalid> {
    let nanos = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .filter(|at| (2000..=2100).contains(&at.year()))
        .ok_or_else(|| Invalid::value(field, "must be in the years 2000 to 2100"))
}

fn microseconds(at: i64) -> Option<Timestamp> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000).ok().map(timestamp)
}

/// A moment, exactly.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    let nanos =
        i32::try_from(at.nanosecond()).expect("a second has fewer nanoseconds than 31 bits can count");
    Timestamp { seconds: at.unix_timestamp(), nanos }
}
