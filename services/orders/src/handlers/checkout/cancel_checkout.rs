//! A buyer leaves a checkout: the goods are free again, and back in the cart.

use idempotency::Done;
use proto::orders::v1::{CancelCheckoutRequest, OrderResponse};

use crate::cancellation::{Cancellation, Goods, Only};
use crate::domain::OrderId;
use crate::domain::order::Mover;
use crate::error::Error;
use crate::handlers::Call;
use crate::handlers::orders::cancel_order::cancelled;

pub(crate) async fn cancel_checkout(
    call: &Call,
    request: CancelCheckoutRequest,
) -> Result<Done<OrderResponse>, Error> {
    let buyer = call.buyer()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    let wanted = Cancellation {
        actor: buyer.actor,
        mover: Mover::Customer,
        reason: None,
        units: Vec::new(),
        goods: Goods::IntoCart,
    };
    cancelled(call, id, Only::Unpaid, wanted).await
}
