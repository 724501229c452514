//! An order, and whom to tell about it: for processes that write to buyers.

use proto::orders::v1::{GetOrderForNoticeRequest, GetOrderForNoticeResponse};
use rls::Caller;

use super::view;
use crate::domain::OrderId;
use crate::domain::order_token;
use crate::error::{Error, Missing};
use crate::handlers::Call;
use crate::store::orders as store;

pub(crate) async fn get_order_for_notice(
    call: &Call,
    request: GetOrderForNoticeRequest,
) -> Result<GetOrderForNoticeResponse, Error> {
    call.service()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    let (order, addressee) = call
        .read_as(Caller::Service, move |tx| {
            Box::pin(async move {
                let order = view(tx, id).await?;
                let addressee = store::addressee(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
                Ok((order, addressee))
            })
        })
        .await?;
    // An erased account's order looks like a guest's, but has no address to write to.
    let is_guest = addressee.user_id.is_none() && addressee.email.is_some();
    Ok(GetOrderForNoticeResponse {
        order: Some(order),
        email: addressee.email,
        order_token: is_guest.then(|| order_token::of(&call.shared.key, id)),
        locale: addressee.locale,
    })
}
