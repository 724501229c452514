//! A line less.

use idempotency::Done;
use proto::orders::v1::{CartResponse, RemoveItemRequest};

use super::{lock, quotes, reply, updated};
use crate::domain::CartItemId;
use crate::domain::cart::lifetime;
use crate::error::{Error, Missing};
use crate::handlers::{Call, now};
use crate::store::carts;

pub(crate) async fn remove_item(
    call: &Call,
    request: RemoveItemRequest,
) -> Result<Done<CartResponse>, Error> {
    let buyer = call.buyer()?;
    let id = CartItemId::parse("item_id", request.item_id)?;
    let quotes = quotes(call, &buyer, None).await?;
    let now = now();

    call.once_as(buyer.caller(), move |tx| {
        Box::pin(async move {
            let mut contents = lock(tx).await?.ok_or(Error::NotFound(Missing::CartItem))?;
            let before = contents.lines.len();
            contents.lines.retain(|line| line.id != id.get());
            if contents.lines.len() == before {
                return Err(Error::NotFound(Missing::CartItem));
            }
            let cart = &mut contents.cart;
            let raised = carts::remove_line(tx, cart.id, id.get(), lifetime(buyer.who)).await?;
            (cart.version, cart.expires_at) = (raised.version, raised.expires_at);
            updated(tx, &buyer, now, cart.id, raised.version).await?;
            Ok(reply(Some(&contents), &quotes))
        })
    })
    .await
}
