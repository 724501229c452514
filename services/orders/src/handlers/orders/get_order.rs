//! One order with its lines, history, shipments and payments.

use proto::orders::v1::{GetOrderRequest, OrderResponse};

use super::view;
use crate::domain::OrderId;
use crate::error::Error;
use crate::handlers::Call;

pub(crate) async fn get_order(call: &Call, request: GetOrderRequest) -> Result<OrderResponse, Error> {
    let caller = call.buyer()?.caller();
    let id = OrderId::parse("order_id", request.order_id)?;
    let order = call.read_as(caller, move |tx| Box::pin(view(tx, id))).await?;
    Ok(OrderResponse { order: Some(order), receipts: Vec::new() })
}
