//! What a buyer's cart costs now, if it can be ordered as it is.

use uuid::Uuid;

use super::{Wish, empty_cart};
use crate::catalog::Quotes;
use crate::domain::pricing::{self, Line};
use crate::domain::{Invalid, shipping};
use crate::error::{Conflict, Error, LineProblem, Missing};
use crate::handlers::{Buyer, Call, now};
use crate::store::checkout::{self as store, CartToOrder, NewItem};
use crate::store::coupons::{GivenCoupon, Usable};
use crate::store::orders::StoredTax;
use crate::store::shipping as tables;

/// A cart with its price. Minor units.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) cart_id: Uuid,
    pub(super) cart_version: i64,
    pub(super) currency: String,
    /// In the cart's order.
    pub(super) items: Vec<NewItem>,
    pub(super) items_amount: i64,
    pub(super) discount_amount: i64,
    pub(super) shipping_amount: i64,
    pub(super) shipping_service: &'static str,
    pub(super) taxes: Vec<StoredTax>,
    pub(super) total_amount: i64,
    /// The coupon that gives something.
    pub(super) coupon: Option<String>,
}

/// Prices the buyer's cart, and refuses what cannot be ordered.
pub(super) async fn offer(call: &Call, buyer: &Buyer, wish: &Wish) -> Result<Offered, Error> {
    let code = wish.coupon.clone();
    let cep = wish.destination.cep.clone();
    let (place, cart) = call
        .read_as(buyer.caller(), move |tx| {
            Box::pin(async move {
                Ok((tables::place(tx, &cep).await?, store::cart_to_order(tx, code.as_ref()).await?))
            })
        })
        .await?;
    // Taxes are those of the state that the goods go to, whatever its buyer calls it.
    if place.is_none_or(|place| place.state != wish.destination.state.letters()) {
        let rule = "must be the state in which the postal code is";
        return Err(Invalid::value("shipping_address.state", rule).into());
    }
    let cart = cart.ok_or_else(empty_cart)?;
    if cart.state != "active" {
        return Err(Error::Conflict(Conflict::CartLocked));
    }
    if cart.version != wish.cart_version.get() {
        return Err(Error::StaleVersion { expected: wish.cart_version.get(), current: cart.version });
    }
    if cart.variants.is_empty() {
        return Err(empty_cart());
    }
    in_stock(&cart)?;
    let quotes = call.shared.catalog.quote(&cart.variants, &call.request_id).await?;
    let mut items = goods(&cart, &quotes)?;

    let weight_g: i64 = items.iter().map(|item| i64::from(item.weight_g) * i64::from(item.quantity)).sum();
    let quote = shipping::verify(&call.shared.key, &wish.shipping_quote_id, now())?;
    if !quote.is_for(&wish.destination.cep, weight_g) {
        // A quote of another cart, or of this one before it was changed.
        let rule = "is for another place or other goods";
        return Err(Invalid::value("shipping_quote_id", rule).into());
    }

    let coupon = coupon(&cart, wish)?;
    let lines: Vec<Line> = items
        .iter()
        .map(|item| Line {
            variant_id: item.variant_id,
            product_id: item.product_id,
            quantity: item.quantity,
            unit_amount: item.unit_amount,
        })
        .collect();
    let gift = coupon.map(GivenCoupon::offer);
    let priced = pricing::price(&lines, gift.as_ref(), quote.amount, wish.destination.state);
    if let (Some(reason), Some(_)) = (priced.not_applicable, &wish.coupon) {
        let detail = format!("gives nothing here: {}", reason.reason());
        return Err(Invalid::because("coupon_not_applicable", "coupon_code", detail).into());
    }
    agreed(&cart, &items, wish, priced.total)?;

    for (item, line) in items.iter_mut().zip(&priced.lines) {
        item.discount_amount = line.discount;
    }
    let is_used = priced.not_applicable.is_none();
    let taxes = priced.taxes.iter().map(|tax| StoredTax {
        name: tax.name.clone(),
        rate_basis_points: tax.rate_basis_points,
        amount: tax.amount,
    });
    Ok(Offered {
        cart_id: cart.id,
        cart_version: cart.version,
        currency: cart.currency.clone(),
        items_amount: priced.items,
        discount_amount: priced.discount,
        shipping_amount: priced.shipping,
        shipping_service: quote.service.as_str(),
        taxes: taxes.collect(),
        total_amount: priced.total,
        coupon: coupon.filter(|_| is_used).map(|coupon| coupon.code.clone()),
        items,
    })
}

/// Refuses what is not there at this moment. What is there may be gone when it is reserved: that is refused then.
fn in_stock(cart: &CartToOrder) -> Result<(), Error> {
    let short: Vec<LineProblem> = (0..)
        .zip(cart.variants.iter().zip(&cart.quantities).zip(&cart.available))
        .filter(|(_, ((_, quantity), available))| available.is_some_and(|left| left < i64::from(**quantity)))
        .map(|(index, ((variant_id, _), available))| LineProblem {
            index,
            variant_id: *variant_id,
            code: Conflict::OutOfStock.reason(),
            available: available.unwrap_or_default(),
            unit_amount: 0,
        })
        .collect();
    if short.is_empty() { Ok(()) } else { Err(Error::Lines(Conflict::OutOfStock, short)) }
}

/// The cart's goods as the catalog sells them now.
fn goods(cart: &CartToOrder, quotes: &Quotes) -> Result<Vec<NewItem>, Error> {
    let mut items = Vec::with_capacity(cart.variants.len());
    let mut gone = Vec::new();
    for (index, (variant_id, quantity)) in (0..).zip(cart.variants.iter().zip(&cart.quantities)) {
        match quotes.confirmed(*variant_id).filter(|quote| quote.is_active) {
            Some(quote) => items.push(NewItem {
                product_id: quote.product_id,
                variant_id: *variant_id,
                sku: quote.sku.clone(),
                name: title(&quote.product_name, &quote.variant_name),
                weight_g: quote.weight_g,
                quantity: *quantity,
                unit_amount: quote.unit_amount,
                discount_amount: 0,
            }),
            None => gone.push(LineProblem {
                index,
                variant_id: *variant_id,
                code: Conflict::Unavailable.reason(),
                available: 0,
                unit_amount: 0,
            }),
        }
    }
    if gone.is_empty() { Ok(items) } else { Err(Error::Lines(Conflict::Unavailable, gone)) }
}

/// As an order names goods for ever, whatever becomes of them in the catalog.
fn title(product: &str, variant: &str) -> String {
    if variant.is_empty() || variant == product {
        product.to_owned()
    } else {
        format!("{product}, {variant}")
    }
}

/// The coupon that the buyer means, if it can be used at all.
fn coupon<'a>(cart: &'a CartToOrder, wish: &Wish) -> Result<Option<&'a GivenCoupon>, Error> {
    let given = cart.coupon.as_ref().map(|coupon| &coupon.0);
    match given {
        Some(coupon) if coupon.usable() == Usable::Now => Ok(Some(coupon)),
        // What the buyer counted on is gone: the price would be another one.
        Some(_) => Err(Error::Conflict(Conflict::CouponExhausted)),
        None if wish.coupon.is_some() => Err(Error::NotFound(Missing::Coupon)),
        None if cart.coupon_code.is_some() => Err(Error::Conflict(Conflict::CouponExhausted)),
        None => Ok(None),
    }
}

/// Refuses a price that the buyer has not agreed to: the total that they named, or else the prices that they saw.
fn agreed(cart: &CartToOrder, items: &[NewItem], wish: &Wish, total: i64) -> Result<(), Error> {
    let changed: Vec<LineProblem> = (0..)
        .zip(items.iter().zip(&cart.seen))
        .filter(|(_, (item, seen))| item.unit_amount != **seen)
        .map(|(index, (item, _))| LineProblem {
            index,
            variant_id: item.variant_id,
            code: Conflict::PriceChanged.reason(),
            available: 0,
            unit_amount: item.unit_amount,
        })
        .collect();
    let is_agreed = match wish.expected_total {
        Some(expected) => expected == total,
        None => changed.is_empty(),
    };
    if is_agreed { Ok(()) } else { Err(Error::Lines(Conflict::PriceChanged, changed)) }
}
