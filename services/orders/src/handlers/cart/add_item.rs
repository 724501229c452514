//! More of a variant in the caller's cart. Additions commute: two at once are both there.

use idempotency::Done;
use proto::orders::v1::{AddItemRequest, CartResponse};

use super::{quotes, reply, touch, updated};
use crate::domain::VariantId;
use crate::domain::cart::{LINES_MAX, Quantity};
use crate::error::{Away, Conflict, Error};
use crate::handlers::{Call, now};
use crate::store::carts::{self, Addition};
use crate::wire::cart::Contents;

pub(crate) async fn add_item(call: &Call, request: AddItemRequest) -> Result<Done<CartResponse>, Error> {
    let buyer = call.buyer()?;
    let variant = VariantId::parse("variant_id", request.variant_id)?;
    let quantity = Quantity::parse("quantity", request.quantity)?;
    let quotes = quotes(call, &buyer, Some(variant.get())).await?;
    let goods = match quotes.remembered(variant.get()) {
        Some(goods) if goods.is_active => goods,
        // Nobody can tell now what it costs, or whether there is such a thing.
        None if quotes.away() => return Err(Error::Away(Away::Catalog)),
        Some(_) | None => return Err(Error::unknown_variant("variant_id")),
    };
    let addition = Addition {
        variant_id: variant.get(),
        product_id: goods.product_id,
        quantity: quantity.get(),
        unit_amount: goods.unit_amount,
    };
    let now = now();

    call.once_as(buyer.caller(), move |tx| {
        Box::pin(async move {
            let cart = touch(tx, &buyer).await?;
            let lines = carts::add(tx, cart.id, addition, LINES_MAX).await?;
            if lines.iter().all(|line| line.variant_id != addition.variant_id) {
                return Err(Error::Conflict(Conflict::CartFull));
            }
            updated(tx, &buyer, now, cart.id, cart.version).await?;
            Ok(reply(Some(&Contents { cart, lines }), &quotes))
        })
    })
    .await
}
