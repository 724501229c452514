//! More of a variant in the caller's cart. Additions commute: two at once are both there.

use idempotency::Done;
use proto::orders::v1::{AddItemRequest, CartResponse};

use super::{quotes, reply, touch, updated};
use crate::catalog::Quotes;
use crate::domain::VariantId;
use crate::domain::cart::{LINES_MAX, Quantity};
use crate::error::{Away, Conflict, Error};
use crate::handlers::{Buyer, Call, now};
use crate::store::carts::{self, Addition};
use crate::wire::cart::Contents;

pub(crate) async fn add_item(call: &Call, request: AddItemRequest) -> Result<Done<CartResponse>, Error> {
    let buyer = call.buyer()?;
    let variant = VariantId::parse("variant_id", request.variant_id)?;
    let quantity = Quantity::parse("quantity", request.quantity)?;
    // A repeat is answered as before, whatever the catalog says now: a refusal is the transaction's to keep.
    let priced = async { Ok(price(call, &buyer, variant, quantity).await) };
    let now = now();

    call.once_after(buyer.caller(), priced, move |tx, (addition, quotes): (Addition, Quotes)| {
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

/// What is added, at its price now, beside all that the cart holds.
async fn price(
    call: &Call,
    buyer: &Buyer,
    variant: VariantId,
    quantity: Quantity,
) -> Result<(Addition, Quotes), Error> {
    let quotes = quotes(call, buyer, Some(variant.get())).await?;
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
    Ok((addition, quotes))
}
