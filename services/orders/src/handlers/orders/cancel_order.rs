//! A buyer cancels an order, or some of it before it is sent off; what was paid for it goes back.

use idempotency::Done;
use proto::orders::v1::{CancelOrderRequest, OrderResponse};
use rls::Caller;

use super::view_to_keep;
use crate::cancellation::{Cancellation, Goods, Only, Way, cancel, make_way};
use crate::domain::OrderId;
use crate::domain::order::{Mover, reason};
use crate::error::Error;
use crate::handlers::{Call, now};
use crate::payments;
use crate::wire;

pub(crate) async fn cancel_order(
    call: &Call,
    request: CancelOrderRequest,
) -> Result<Done<OrderResponse>, Error> {
    let buyer = call.buyer()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    let wanted = Cancellation {
        actor: buyer.actor,
        mover: Mover::Customer,
        reason: reason("reason", request.reason)?,
        units: wire::order::units(request.lines)?,
        goods: Goods::Forgotten,
    };
    cancelled(call, id, Only::Unshipped, wanted).await
}

/// Cancels an order that the caller may cancel, and begins to send money back.
pub(crate) async fn cancelled(
    call: &Call,
    id: OrderId,
    only: Only,
    wanted: Cancellation,
) -> Result<Done<OrderResponse>, Error> {
    let eyes = call.buyer()?.caller();
    let now = now();
    let way = async { Ok(make_way(call, eyes, id, None, only, &wanted).await) };
    let cancelling = wanted.clone();
    let mut done = call
        .once_after(Caller::Service, way, move |tx, way: Way| {
            Box::pin(async move {
                way.take(tx, id, None).await?;
                cancel(tx, id, now, only, &cancelling).await?;
                Ok(OrderResponse { order: Some(view_to_keep(tx, id).await?), receipts: Vec::new() })
            })
        })
        .await?;
    call.tell_address(&mut done.reply.order).await;
    payments::hurry_refunds(&call.shared);
    call.shared.timelines.changed(id);
    Ok(done)
}
