//! The caller's cart at today's prices.

use proto::orders::v1::{CartResponse, GetCartRequest};
use rls::Caller;

use super::reply;
use crate::catalog::Quotes;
use crate::error::Error;
use crate::handlers::Call;
use crate::store::carts;
use crate::wire::cart::Contents;

pub(crate) async fn get_cart(call: &Call, _request: GetCartRequest) -> Result<CartResponse, Error> {
    // Who never had a token has no cart yet.
    if call.caller == Caller::Anonymous {
        return Ok(reply(None, &Quotes::default()));
    }
    let buyer = call.buyer()?;
    let contents = call
        .read_as(buyer.caller(), |tx| {
            Box::pin(async move {
                let Some(cart) = carts::own(tx).await? else { return Ok(None) };
                let lines = carts::lines(tx, cart.id).await?;
                Ok(Some(Contents { cart, lines }))
            })
        })
        .await?;
    let variants = contents.as_ref().map(Contents::variants).unwrap_or_default();
    let quotes = call.shared.catalog.quote_or_remember(&variants, &call.request_id).await;
    Ok(reply(contents.as_ref(), &quotes))
}
