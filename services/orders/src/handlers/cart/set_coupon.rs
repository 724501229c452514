//! A coupon in the caller's cart: shown, not used up. It is redeemed at checkout.

use idempotency::Done;
use proto::orders::v1::{CartResponse, SetCouponRequest};
use sqlx::types::Json;

use super::{quotes, reply, touch, updated};
use crate::domain::cart::lifetime;
use crate::domain::coupon::Code;
use crate::error::{Conflict, Error, Missing};
use crate::handlers::{Call, now};
use crate::store::coupons::Usable;
use crate::store::{carts, coupons};
use crate::wire::cart::Contents;

pub(crate) async fn set_coupon(call: &Call, request: SetCouponRequest) -> Result<Done<CartResponse>, Error> {
    let buyer = call.buyer()?;
    let code = Code::parse("code", &request.code)?;
    let quotes = quotes(call, &buyer, None).await?;
    let now = now();

    call.once_as(buyer.caller(), move |tx| {
        Box::pin(async move {
            // One that does not work yet is nobody's business.
            let coupon = coupons::given(tx, &code).await?.filter(|coupon| coupon.usable() != Usable::NotYet);
            let coupon = coupon.ok_or(Error::NotFound(Missing::Coupon))?;
            if coupon.usable() != Usable::Now {
                return Err(Error::Conflict(Conflict::CouponExhausted));
            }
            let current = carts::lock_own(tx).await?;
            if let Some(cart) = &current {
                if cart.is_locked() {
                    return Err(Error::Conflict(Conflict::CartLocked));
                }
                if cart.coupon_code.as_deref() == Some(coupon.code.as_str()) {
                    let lines = carts::lines(tx, cart.id).await?;
                    return Ok(reply(Some(&Contents { cart: cart.clone(), lines }), &quotes));
                }
            }
            let mut cart = match current {
                Some(cart) => cart,
                None => {
                    let made = touch(tx, &buyer).await?;
                    updated(tx, &buyer, now, made.id, made.version).await?;
                    made
                }
            };
            let raised = carts::set_coupon(tx, cart.id, Some(&coupon.code), lifetime(buyer.who)).await?;
            (cart.version, cart.expires_at) = (raised.version, raised.expires_at);
            (cart.coupon_code, cart.coupon) = (Some(coupon.code.clone()), Some(Json(coupon)));
            let lines = carts::lines(tx, cart.id).await?;
            updated(tx, &buyer, now, cart.id, raised.version).await?;
            Ok(reply(Some(&Contents { cart, lines }), &quotes))
        })
    })
    .await
}
