//! One order with what staff wrote down about it.

use proto::orders::v1::{AdminGetOrderRequest, OrderResponse};

use crate::domain::OrderId;
use crate::error::Error;
use crate::handlers::Call;
use crate::handlers::orders::view_with_notes;

pub(crate) async fn get_order(call: &Call, request: AdminGetOrderRequest) -> Result<OrderResponse, Error> {
    let staff = call.staff()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    let order = call.read_as(staff, move |tx| Box::pin(view_with_notes(tx, id))).await?;
    Ok(OrderResponse { order: Some(order), receipts: Vec::new() })
}
