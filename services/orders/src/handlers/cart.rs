//! Carts: one use case per file.
//!
//! Prices are asked for before the transaction, which never waits for anybody: for what is in the cart, and for what
//! comes in. Whatever else got in meanwhile is shown at the price that was seen a moment ago.

pub(crate) mod add_item;
pub(crate) mod clear_cart;
pub(crate) mod get_availability;
pub(crate) mod get_cart;
pub(crate) mod look_up_cep;
pub(crate) mod merge_carts;
pub(crate) mod quote_shipping;
pub(crate) mod remove_coupon;
pub(crate) mod remove_item;
pub(crate) mod set_coupon;
pub(crate) mod set_item_quantity;

use events::{Event, Fact};
use proto::orders::v1::CartResponse;
use rls::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Buyer, Call, record};
use crate::catalog::Quotes;
use crate::error::{Conflict, Error};
use crate::facts;
use crate::store::carts::{self, CartRow};
use crate::wire;
use crate::wire::cart::Contents;

/// What the caller's cart holds and `more` cost now; from memory while the catalog is away.
pub(crate) async fn quotes(call: &Call, buyer: &Buyer, more: Option<i64>) -> Result<Quotes, Error> {
    let mut variants = call
        .read_as(buyer.caller(), |tx| Box::pin(async move { Ok(carts::own_variants(tx).await?) }))
        .await?;
    variants.extend(more);
    Ok(call.shared.catalog.quote_or_remember(&variants, &call.request_id).await)
}

/// The caller's cart, locked, with its lines. None when there is none.
async fn lock(tx: &mut Tx) -> Result<Option<Contents>, Error> {
    let Some(cart) = carts::lock_own(tx).await? else { return Ok(None) };
    if cart.is_locked() {
        return Err(Error::Conflict(Conflict::CartLocked));
    }
    let lines = carts::lines(tx, cart.id).await?;
    Ok(Some(Contents { cart, lines }))
}

/// Says that the cart is another one now.
pub(crate) async fn updated(
    tx: &mut Tx,
    buyer: &Buyer,
    now: OffsetDateTime,
    id: Uuid,
    version: i64,
) -> Result<(), Error> {
    let fact = Fact::CartUpdated(facts::own_cart(id, buyer));
    record(tx, &Event::new(&buyer.actor, now, version, fact)).await
}

/// The caller's cart, made or about to be changed; its version is the one after the change.
pub(crate) async fn touch(tx: &mut Tx, buyer: &Buyer) -> Result<CartRow, Error> {
    let cart = carts::touch(tx, buyer.who, crate::domain::cart::lifetime(buyer.who)).await?;
    cart.ok_or(Error::Conflict(Conflict::CartLocked))
}

/// The reply; its receipts are filled in after the commit.
fn reply(contents: Option<&Contents>, quotes: &Quotes) -> CartResponse {
    CartResponse { cart: Some(wire::cart::cart(contents, quotes)), receipts: Vec::new() }
}
