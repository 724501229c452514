//! A buyer wants to send back what was delivered.

use proto::orders::v1::{OrderResponse, RequestReturnRequest};
use rls::Caller;

use super::view_to_keep;
use crate::domain::order::{Mover, Status, Units};
use crate::domain::{Invalid, OrderId};
use crate::error::{Conflict, Error, Missing};
use crate::handlers::{Call, now, record};
use crate::order_facts;
use crate::store::{order_changes as store, orders};
use crate::wire;

pub(crate) async fn request_return(
    call: &Call,
    request: RequestReturnRequest,
) -> Result<idempotency::Done<OrderResponse>, Error> {
    let buyer = call.buyer()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    let wanted = wire::order::units(request.lines)?;
    call.require_own(id).await?;
    let now = now();
    let mut done = call
        .once_as(Caller::Service, move |tx| {
            Box::pin(async move {
                let order = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
                if order.status() != Status::Delivered {
                    return Err(Error::Conflict(Conflict::IllegalTransition));
                }
                let items = orders::items(tx, id).await?;
                let mut units = wanted;
                if units.is_empty() {
                    units = items
                        .iter()
                        .filter(|item| item.fulfilled > item.returned)
                        .map(|item| Units {
                            line: item.line,
                            quantity: item.fulfilled - item.returned,
                            reason: None,
                        })
                        .collect();
                }
                for units in &units {
                    let sent = items.iter().find(|item| item.line == units.line);
                    if sent.is_none_or(|item| units.quantity > item.fulfilled - item.returned) {
                        let rule = "must be lines of the order, and no more of each than was delivered";
                        return Err(Invalid::value("lines", rule).into());
                    }
                }
                store::insert_returns(tx, &order, &units).await?;
                let version = store::move_to(tx, id, Status::ReturnRequested, Mover::Customer, None).await?;
                let moved = order_facts::moved(&order, Status::ReturnRequested);
                record(tx, &events::Event::new(&buyer.actor, now, version, moved)).await?;
                Ok(OrderResponse { order: Some(view_to_keep(tx, id).await?), receipts: Vec::new() })
            })
        })
        .await?;
    call.tell_address(&mut done.reply.order).await;
    call.shared.timelines.changed(id);
    Ok(done)
}
