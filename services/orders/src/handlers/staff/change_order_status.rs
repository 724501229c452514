//! Staff move an order on by hand. Steps that money takes are taken by money only.

use idempotency::Done;
use proto::orders::v1::{ChangeOrderStatusRequest, OrderResponse};
use rls::{Caller, Tx};
use serde_json::json;

use super::Deed;
use crate::cancellation::{Cancellation, Goods, Only, Way, cancel, make_way};
use crate::domain::order::{Mover, Status, reason};
use crate::domain::{OrderId, Version};
use crate::error::{Conflict, Error, Missing};
use crate::handlers::orders::notes_to_keep;
use crate::handlers::{Call, now, record_all};
use crate::order_facts;
use crate::payments;
use crate::payments::facts::Facts;
use crate::payments::refunds::step_owed;
use crate::store::order_changes::{self as store, LockedOrder, ShippedUnits};
use crate::store::{holds, orders};

pub(crate) async fn change_order_status(
    call: &Call,
    request: ChangeOrderStatusRequest,
) -> Result<Done<OrderResponse>, Error> {
    let staff = call.staff()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let to = Status::parse("status", &request.status)?;
    let reason = reason("reason", request.reason)?;
    let deed = Deed::of(call, "order.status_changed", id)?;
    let wanted = Cancellation {
        actor: staff,
        mover: Mover::Staff,
        reason: reason.clone(),
        units: Vec::new(),
        goods: Goods::Forgotten,
    };
    let way = async {
        Ok(match to {
            Status::Cancelled => {
                make_way(call, Caller::Service, id, Some(expected), Only::Unshipped, &wanted).await
            }
            _ => Ok(Way::default()),
        })
    };
    let cancelling = wanted.clone();
    let now = now();
    let mut done = call
        .once_after(Caller::Service, way, move |tx, way: Way| {
            Box::pin(async move {
                let order = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
                way.take(tx, id, Some(expected)).await?;
                if to == Status::Cancelled {
                    cancel(tx, id, now, Only::Unshipped, &cancelling).await?;
                } else {
                    let mut facts = Facts::new(staff, now);
                    step(tx, &order, to, reason.as_deref(), &mut facts).await?;
                    record_all(tx, facts.events()).await?;
                }
                let seen = notes_to_keep(tx, id).await?;
                // Why is free text, and may be about a person: the order's history has it, and forgets it.
                let (before, after) = (json!({ "status": order.status }), json!({ "status": to.as_str() }));
                deed.audit(tx, Some(before), after).await?;
                Ok(OrderResponse { order: Some(seen), receipts: Vec::new() })
            })
        })
        .await?;
    call.tell_address(&mut done.reply.order).await;
    if to == Status::Cancelled {
        payments::hurry_refunds(&call.shared);
    }
    call.shared.timelines.changed(id);
    Ok(done)
}

/// One step and what goes with it.
async fn step(
    tx: &mut Tx,
    order: &LockedOrder,
    to: Status,
    reason: Option<&str>,
    facts: &mut Facts,
) -> Result<(), Error> {
    let id = OrderId::known(order.id);
    match to {
        Status::Processing => {}
        Status::Shipped => {
            let items = orders::items(tx, id).await?;
            let waiting = |item: &orders::ItemRow| ShippedUnits { line: item.line, quantity: item.waiting() };
            let units: Vec<_> = items.iter().map(waiting).filter(|units| units.quantity > 0).collect();
            store::fulfil_units(tx, id, &units).await?;
        }
        Status::Delivered if order.status() == Status::ReturnRequested => store::delete_returns(tx, id).await?,
        Status::Delivered => {
            for shipment in store::deliver_shipments(tx, id, facts.now()).await? {
                facts.push(shipment.version, order_facts::delivered(order, &shipment));
            }
        }
        Status::Returned if order.status() == Status::ReturnRequested => {
            let returned = store::take_returns(tx, id).await?;
            let goods: Vec<(i64, i32)> =
                returned.iter().map(|units| (units.variant_id, units.quantity)).collect();
            facts.stock(&holds::give_back(tx, id, &goods).await?);
        }
        // What money has not done, nobody says.
        Status::PendingPayment
        | Status::Paid
        | Status::PaymentFailed
        | Status::Expired
        | Status::Refunded
        | Status::PartiallyRefunded
        // A return is asked for by the buyer, and cancelling has a way of its own.
        | Status::ReturnRequested
        | Status::Returned
        | Status::Cancelled => return Err(Error::Conflict(Conflict::IllegalTransition)),
    }
    let version = store::move_to(tx, id, to, Mover::Staff, reason).await?;
    facts.push(version, order_facts::moved(order, to));
    if let Some(owed) = step_owed(to, order.refunded_amount, order.total_amount) {
        let version = store::move_to(tx, id, owed, Mover::System, None).await?;
        facts.moved(order.id, order.user_id, version, to.as_str(), owed.as_str());
    }
    Ok(())
}
