//! A buyer cancels an order, or some of it before it is sent off; what was paid for it goes back.

use idempotency::Done;
use proto::orders::v1::{CancelOrderRequest, OrderResponse};
use rls::Caller;

use super::view;
use crate::cancellation::{Cancellation, Goods, Only, cancel};
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
    call.require_own(id).await?;
    cancelled(call, id, Only::Unshipped, wanted).await
}

/// Cancels an order that the caller may cancel, and begins to send money back.
pub(crate) async fn cancelled(
    call: &Call,
    id: OrderId,
    only: Only,
    wanted: Cancellation,
) -> Result<Done<OrderResponse>, Error> {
    // Whoever still has to act at the bank, or to scan a code, shall not be charged afterwards.
    payments::give_up_waiting(&call.shared, id, call.within).await?;
    let now = now();
    let done = call
        .once_as(Caller::Service, move |tx| {
            Box::pin(async move {
                cancel(tx, id, now, only, &wanted).await?;
                Ok(OrderResponse { order: Some(view(tx, id).await?), receipts: Vec::new() })
            })
        })
        .await?;
    payments::hurry_refunds(&call.shared, id);
    call.shared.timelines.changed(id);
    Ok(done)
}
