//! No coupon in the caller's cart.

use idempotency::Done;
use proto::orders::v1::{CartResponse, RemoveCouponRequest};

use super::{lock, quotes, reply, updated};
use crate::domain::cart::lifetime;
use crate::error::Error;
use crate::handlers::{Call, now};
use crate::store::carts;

pub(crate) async fn remove_coupon(
    call: &Call,
    _request: RemoveCouponRequest,
) -> Result<Done<CartResponse>, Error> {
    let buyer = call.buyer()?;
    let quotes = quotes(call, &buyer, None).await?;
    let now = now();

    call.once_as(buyer.caller(), move |tx| {
        Box::pin(async move {
            let Some(mut contents) = lock(tx).await? else { return Ok(reply(None, &quotes)) };
            let cart = &mut contents.cart;
            if cart.coupon_code.is_none() {
                return Ok(reply(Some(&contents), &quotes));
            }
            let raised = carts::set_coupon(tx, cart.id, None, lifetime(buyer.who)).await?;
            (cart.version, cart.expires_at) = (raised.version, raised.expires_at);
            (cart.coupon_code, cart.coupon) = (None, None);
            updated(tx, &buyer, now, cart.id, raised.version).await?;
            Ok(reply(Some(&contents), &quotes))
        })
    })
    .await
}
