//! Goods of an order are sent off: all that wait, or some of them.

use idempotency::Done;
use proto::orders::v1::{CreateShipmentRequest, OrderResponse};
use rls::Caller;
use serde_json::json;

use super::Deed;
use crate::domain::order::{Mover, Status, Units, label};
use crate::domain::{Invalid, OrderId, Version};
use crate::error::{Conflict, Error, Missing};
use crate::handlers::orders::notes_to_keep;
use crate::handlers::{Call, check_version, now, record_all};
use crate::order_facts;
use crate::payments::facts::Facts;
use crate::store::order_changes::{self as store, NewShipment, ShippedUnits};
use crate::store::orders::{self, ItemRow};
use crate::wire;

pub(crate) async fn create_shipment(
    call: &Call,
    request: CreateShipmentRequest,
) -> Result<Done<OrderResponse>, Error> {
    let staff = call.staff()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let carrier = label("carrier", &request.carrier)?;
    let service = label("service", &request.service)?;
    let tracking_code = request.tracking_code.map(|code| label("tracking_code", &code)).transpose()?;
    let wanted = wire::order::units(request.lines)?;
    let deed = Deed::of(call, "order.shipment_created", id)?;
    let now = now();
    let mut done = call
        .once_as(Caller::Service, move |tx| {
            Box::pin(async move {
                let order = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
                check_version(expected, order.version)?;
                let was = order.status();
                if !was.is_unshipped() {
                    return Err(Error::Conflict(Conflict::IllegalTransition));
                }
                let items = orders::items(tx, id).await?;
                let lines = lines(&items, &wanted)?;
                let shipment = NewShipment { carrier, service, tracking_code, lines };
                let shipment_id = store::insert_shipment(tx, &order, &shipment, now).await?;
                store::fulfil_units(tx, id, &shipment.lines).await?;

                let mut facts = Facts::new(staff, now);
                facts.push(1, order_facts::shipped(&order, shipment_id, &shipment));
                let sent: i32 = shipment.lines.iter().map(|units| units.quantity).sum();
                let is_all = sent == items.iter().map(ItemRow::waiting).sum::<i32>();
                let mut status = was;
                let steps = [Status::Processing, Status::Shipped];
                // Whoever sends goods off has worked on the order.
                for step in &steps[usize::from(was == Status::Processing)..=usize::from(is_all)] {
                    let version = store::move_to(tx, id, *step, Mover::Staff, None).await?;
                    facts.push(version, order_facts::moved_from(&order, status, *step));
                    status = *step;
                }
                if !is_all {
                    // The step alone would not say that something is on its way.
                    let version = store::touch(tx, id).await?;
                    facts.push(version, order_facts::updated(&order, &["items", "shipments"]));
                }
                record_all(tx, facts.events()).await?;
                let order = notes_to_keep(tx, id).await?;
                let before = json!({ "status": was.as_str() });
                let after = json!({
                    "status": status.as_str(),
                    "shipment_id": shipment_id,
                    "lines": shipment.lines,
                });
                deed.audit(tx, Some(before), after).await?;
                Ok(OrderResponse { order: Some(order), receipts: Vec::new() })
            })
        })
        .await?;
    call.tell_address(&mut done.reply.order).await;
    call.shared.timelines.changed(id);
    Ok(done)
}

/// What is sent off: everything that waits, or what was named.
fn lines(items: &[ItemRow], wanted: &[Units]) -> Result<Vec<ShippedUnits>, Error> {
    let lines: Vec<ShippedUnits> = if wanted.is_empty() {
        let waiting = |item: &ItemRow| ShippedUnits { line: item.line, quantity: item.waiting() };
        items.iter().map(waiting).filter(|units| units.quantity > 0).collect()
    } else {
        wanted.iter().map(|units| ShippedUnits { line: units.line, quantity: units.quantity }).collect()
    };
    for units in &lines {
        let item = items.iter().find(|item| item.line == units.line);
        if item.is_none_or(|item| units.quantity > item.waiting()) {
            let rule = "must be lines of the order, and no more of each than waits to be sent";
            return Err(Invalid::value("lines", rule).into());
        }
    }
    if lines.is_empty() {
        return Err(Error::Conflict(Conflict::IllegalTransition));
    }
    Ok(lines)
}
