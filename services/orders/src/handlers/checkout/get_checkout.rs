//! Where a checkout stands, and how long its goods are kept.

use proto::orders::v1::{GetCheckoutRequest, GetCheckoutResponse};

use crate::domain::OrderId;
use crate::error::Error;
use crate::handlers::orders::view;
use crate::handlers::{Call, now};

pub(crate) async fn get_checkout(
    call: &Call,
    request: GetCheckoutRequest,
) -> Result<GetCheckoutResponse, Error> {
    let caller = call.buyer()?.caller();
    let id = OrderId::parse("order_id", request.order_id)?;
    let order = call.read_as(caller, move |tx| Box::pin(view(tx, id))).await?;
    let left = order.reserved_until.as_ref().map_or(0, |until| until.seconds - now().unix_timestamp());
    Ok(GetCheckoutResponse {
        remaining_s: left.max(0),
        payment: order.payments.last().cloned(),
        order: Some(order),
    })
}
