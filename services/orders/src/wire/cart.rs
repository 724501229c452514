//! Carts as buyers see them: what is in them, at today's prices.

use proto::orders::v1 as pb;

use super::timestamp;
use crate::catalog::Quotes;
use crate::domain::pricing::{self, Line, Priced};
use crate::domain::tax::HOME;
use crate::store::carts::{CartRow, LineRow};
use crate::store::coupons::{GivenCoupon, Usable};

/// Something costs something else than when it was put into the cart.
const PRICE_CHANGED: &str = "price_changed";
/// Something cannot be bought now; it is not in the totals.
const UNAVAILABLE: &str = "unavailable";
/// There is little left of something, or less than the line says.
const LOW_STOCK: &str = "low_stock";
/// The coupon gives nothing now.
const COUPON_NOT_APPLICABLE: &str = "coupon_not_applicable";
/// The catalog is away: the prices are those that were seen last.
const PRICES_UNCONFIRMED: &str = "prices_unconfirmed";

/// A cart and its lines.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) cart: CartRow,
    pub(crate) lines: Vec<LineRow>,
}

impl Contents {
    /// The variants in it.
    pub(crate) fn variants(&self) -> Vec<i64> {
        self.lines.iter().map(|line| line.variant_id).collect()
    }
}

/// The cart of somebody who never put anything into one.
pub(crate) fn nothing() -> pb::Cart {
    pb::Cart {
        state: "active".to_owned(),
        currency: "BRL".to_owned(),
        totals: Some(pb::CartTotals::default()),
        ..Default::default()
    }
}

/// A cart at the prices of `quotes`. Lines that cannot be bought are shown and not counted.
pub(crate) fn cart(contents: Option<&Contents>, quotes: &Quotes) -> pb::Cart {
    let Some(Contents { cart, lines }) = contents else { return nothing() };
    let items: Vec<pb::CartItem> = lines.iter().map(|line| item(line, quotes)).collect();
    let counted: Vec<Line> = items.iter().filter(|item| item.available).map(priced_line).collect();
    let (coupon, priced) = priced(cart, &counted);

    let mut warnings = Vec::new();
    let mut warn = |warning: &str, given: bool| {
        if given {
            warnings.push(warning.to_owned());
        }
    };
    warn(PRICE_CHANGED, items.iter().any(|item| item.unit_amount != item.seen_unit_amount));
    warn(UNAVAILABLE, items.iter().any(|item| !item.available));
    let scarce =
        |line: &LineRow| line.band == "low" || (line.band != "out" && line.left_over < line.quantity);
    warn(LOW_STOCK, lines.iter().any(scarce));
    let idle = coupon.as_ref().is_some_and(|coupon| !coupon.not_applicable.is_empty());
    warn(COUPON_NOT_APPLICABLE, idle && !lines.is_empty());
    warn(PRICES_UNCONFIRMED, quotes.away() && !lines.is_empty());

    pb::Cart {
        id: cart.id.to_string(),
        version: cart.version,
        state: cart.state.clone(),
        currency: cart.currency.clone(),
        items,
        coupon,
        totals: Some(pb::CartTotals {
            items_amount: priced.items,
            discount_amount: priced.discount,
            shipping_amount: None,
            tax_amount: priced.tax(),
            total_amount: priced.total,
        }),
        warnings,
        expires_at: Some(timestamp(cart.expires_at)),
    }
}

fn item(line: &LineRow, quotes: &Quotes) -> pb::CartItem {
    let confirmed = quotes.confirmed(line.variant_id);
    let unit_amount = confirmed.map_or(line.seen_unit_amount, |quote| quote.unit_amount);
    // While the catalog is away, the stock decides; a variant that it does not know is not for sale.
    let sold = if quotes.away() { true } else { confirmed.is_some_and(|quote| quote.is_active) };
    let known = quotes.remembered(line.variant_id);
    let text = |of: fn(&proto::catalog::v1::QuotedVariant) -> &String| {
        known.map_or_else(String::new, |quote| of(quote).clone())
    };
    pb::CartItem {
        id: line.id,
        variant_id: line.variant_id,
        product_id: line.product_id,
        product_slug: text(|quote| &quote.product_slug),
        name: text(|quote| &quote.product_name),
        variant_name: text(|quote| &quote.variant_name),
        sku: text(|quote| &quote.sku),
        image_url: known.and_then(|quote| quote.image_url.clone()),
        quantity: line.quantity,
        unit_amount,
        seen_unit_amount: line.seen_unit_amount,
        line_amount: unit_amount * i64::from(line.quantity),
        stock_band: line.band.clone(),
        available: sold && line.band != "out",
        weight_g: known.map_or(0, |quote| quote.weight_g),
    }
}

fn priced_line(item: &pb::CartItem) -> Line {
    Line {
        variant_id: item.variant_id,
        product_id: item.product_id,
        quantity: item.quantity,
        unit_amount: item.unit_amount,
    }
}

/// What the lines cost with the cart's coupon, and what the coupon gives, or why it gives nothing.
fn priced(cart: &CartRow, lines: &[Line]) -> (Option<pb::CartCoupon>, Priced) {
    let given = cart.coupon.as_deref();
    let usable = given.map(GivenCoupon::usable);
    let offer = given.filter(|_| usable == Some(Usable::Now)).map(GivenCoupon::offer);
    let priced = pricing::price(lines, offer.as_ref(), 0, HOME);
    let coupon = cart.coupon_code.as_ref().map(|code| {
        let not_applicable = match usable {
            None => "not_found",
            Some(Usable::NotYet) => "not_started",
            Some(Usable::Over) => "ended",
            Some(Usable::UsedUp) => "exhausted",
            Some(Usable::Now) => priced.not_applicable.map_or("", |reason| reason.reason()),
        };
        pb::CartCoupon {
            code: code.clone(),
            kind: offer.as_ref().map_or_else(String::new, |offer| offer.kind.as_str().to_owned()),
            discount_amount: priced.given,
            not_applicable: not_applicable.to_owned(),
        }
    });
    (coupon, priced)
}
