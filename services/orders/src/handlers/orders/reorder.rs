//! An order's goods, put into the caller's cart once more, at today's prices.

use std::collections::HashMap;

use idempotency::Done;
use proto::orders::v1::{ReorderRequest, ReorderResponse};

use crate::catalog::Quotes;
use crate::domain::{OrderId, cart};
use crate::error::{Error, Missing};
use crate::handlers::{Buyer, Call, cart as handling, now};
use crate::store::carts::{self, LineRow};
use crate::store::order_changes::{Refill, refill_cart};
use crate::store::orders::{self, ItemRow};
use crate::wire;
use crate::wire::cart::Contents;

pub(crate) async fn reorder(call: &Call, request: ReorderRequest) -> Result<Done<ReorderResponse>, Error> {
    let buyer = call.buyer()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    // A repeat is answered as before, whatever became of the order and the catalog meanwhile.
    let wanted = async { Ok(wanted(call, &buyer, id).await) };
    let now = now();
    call.once_after(buyer.caller(), wanted, move |tx, (items, quotes): (Vec<ItemRow>, Quotes)| {
        Box::pin(async move {
            let cart = handling::touch(tx, &buyer).await?;
            let before = carts::lines(tx, cart.id).await?;
            refill_cart(tx, cart.id, &goods(&items, &quotes), None, cart::LINES_MAX).await?;
            let lines = carts::lines(tx, cart.id).await?;
            handling::updated(tx, &buyer, now, cart.id, cart.version).await?;
            let Report { unavailable, capped } = report(&items, &before, &lines, &quotes);
            let contents = Contents { cart, lines };
            Ok(ReorderResponse {
                cart: Some(wire::cart::cart(Some(&contents), &quotes)),
                unavailable_variant_ids: unavailable,
                capped_variant_ids: capped,
                receipts: Vec::new(),
            })
        })
    })
    .await
}

/// The order's lines, and what they and all that the cart holds cost now.
async fn wanted(call: &Call, buyer: &Buyer, id: OrderId) -> Result<(Vec<ItemRow>, Quotes), Error> {
    let (items, mut variants) = call
        .read_as(buyer.caller(), move |tx| {
            Box::pin(async move {
                let items = orders::items(tx, id).await?;
                // Every order has lines, so that none means an order of somebody else's.
                if items.is_empty() {
                    return Err(Error::NotFound(Missing::Order));
                }
                Ok((items, carts::own_variants(tx).await?))
            })
        })
        .await?;
    variants.extend(items.iter().map(|item| item.variant_id));
    let quotes = call.shared.catalog.quote(&variants, &call.request_id).await?;
    Ok((items, quotes))
}

/// What can still be bought, at its price now.
fn goods(items: &[ItemRow], quotes: &Quotes) -> Vec<Refill> {
    let refill = |item: &ItemRow| {
        let quote = quotes.confirmed(item.variant_id).filter(|quote| quote.is_active)?;
        Some(Refill {
            variant_id: item.variant_id,
            product_id: quote.product_id,
            quantity: item.quantity.min(cart::UNITS_MAX),
            unit_amount: quote.unit_amount,
        })
    };
    items.iter().filter_map(refill).collect()
}

/// What is not in the cart as it was in the order.
struct Report {
    /// Not sold any more, or not so many are left.
    unavailable: Vec<i64>,
    /// More than a line, or the cart, may hold.
    capped: Vec<i64>,
}

fn report(items: &[ItemRow], before: &[LineRow], after: &[LineRow], quotes: &Quotes) -> Report {
    let units = |lines: &[LineRow]| -> HashMap<i64, i32> {
        lines.iter().map(|line| (line.variant_id, line.quantity)).collect()
    };
    let (had, has) = (units(before), units(after));
    let left: HashMap<i64, i32> = after.iter().map(|line| (line.variant_id, line.left_over)).collect();
    let mut report = Report { unavailable: Vec::new(), capped: Vec::new() };
    for item in items {
        let id = item.variant_id;
        let of = |lines: &HashMap<i64, i32>| lines.get(&id).copied().unwrap_or(0);
        if quotes.confirmed(id).is_none_or(|quote| !quote.is_active) {
            report.unavailable.push(id);
            continue;
        }
        if of(&has) < of(&had) + item.quantity {
            report.capped.push(id);
        }
        if has.contains_key(&id) && of(&left) < of(&has) {
            report.unavailable.push(id);
        }
    }
    report
}
