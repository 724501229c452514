//! Another quantity of a line. Whoever changes a line has seen its price.

use idempotency::Done;
use proto::orders::v1::{CartResponse, SetItemQuantityRequest};

use super::{lock, quotes, reply, updated};
use crate::domain::cart::{Quantity, lifetime};
use crate::domain::{CartItemId, Version};
use crate::error::{Error, Missing};
use crate::handlers::{Call, check_version, now};
use crate::store::carts;

pub(crate) async fn set_item_quantity(
    call: &Call,
    request: SetItemQuantityRequest,
) -> Result<Done<CartResponse>, Error> {
    let buyer = call.buyer()?;
    let id = CartItemId::parse("item_id", request.item_id)?;
    let quantity = Quantity::parse("quantity", request.quantity)?;
    let expected = request
        .expected_cart_version
        .map(|version| Version::parse("expected_cart_version", version))
        .transpose()?;
    let quotes = quotes(call, &buyer, None).await?;
    let now = now();

    call.once_as(buyer.caller(), move |tx| {
        Box::pin(async move {
            let mut contents = lock(tx).await?.ok_or(Error::NotFound(Missing::CartItem))?;
            if let Some(expected) = expected {
                check_version(expected, contents.cart.version)?;
            }
            let line = contents.lines.iter_mut().find(|line| line.id == id.get());
            let line = line.ok_or(Error::NotFound(Missing::CartItem))?;
            let confirmed = quotes.confirmed(line.variant_id);
            let unit_amount = confirmed.map_or(line.seen_unit_amount, |quote| quote.unit_amount);
            if (line.quantity, line.seen_unit_amount) == (quantity.get(), unit_amount) {
                return Ok(reply(Some(&contents), &quotes));
            }
            (line.quantity, line.seen_unit_amount) = (quantity.get(), unit_amount);
            let kept = lifetime(buyer.who);
            let cart = &mut contents.cart;
            let raised = carts::set_line(tx, cart.id, id.get(), quantity.get(), unit_amount, kept).await?;
            (cart.version, cart.expires_at) = (raised.version, raised.expires_at);
            updated(tx, &buyer, now, cart.id, raised.version).await?;
            Ok(reply(Some(&contents), &quotes))
        })
    })
    .await
}
