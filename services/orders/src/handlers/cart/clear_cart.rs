//! Everything out of the caller's cart, the coupon too.

use idempotency::Done;
use proto::orders::v1::{CartResponse, ClearCartRequest};

use super::{lock, reply, updated};
use crate::catalog::Quotes;
use crate::domain::cart::lifetime;
use crate::error::Error;
use crate::handlers::{Call, now};
use crate::store::carts;

pub(crate) async fn clear_cart(call: &Call, _request: ClearCartRequest) -> Result<Done<CartResponse>, Error> {
    let buyer = call.buyer()?;
    let now = now();

    call.once_as(buyer.caller(), move |tx| {
        Box::pin(async move {
            let quotes = Quotes::default();
            let Some(mut contents) = lock(tx).await? else { return Ok(reply(None, &quotes)) };
            let cart = &mut contents.cart;
            if contents.lines.is_empty() && cart.coupon_code.is_none() {
                return Ok(reply(Some(&contents), &quotes));
            }
            let raised = carts::clear(tx, cart.id, lifetime(buyer.who)).await?;
            (cart.version, cart.expires_at) = (raised.version, raised.expires_at);
            (cart.coupon_code, cart.coupon) = (None, None);
            contents.lines.clear();
            updated(tx, &buyer, now, contents.cart.id, raised.version).await?;
            Ok(reply(Some(&contents), &quotes))
        })
    })
    .await
}
