//! The bodies that fill a cart, order it, and pay for it, read field by field. No price is ever taken from them
//! but to be compared.

mod staff;

use proto::orders::v1 as orders;
use proto::orders::v1::{AddItemRequest, OrderLine, PayRequest, PlaceOrderRequest, QuoteItem};
use utoipa::ToSchema;

pub use self::staff::{
    AdjustmentBody, CouponBody, CouponRulesBody, NoteBody, OrderPatchBody, RefundBody, ShipmentBody,
    adjustments, coupon, note, order_patch, refund, shipment,
};
use crate::error::{Error, Text};
use crate::fields::{Fields, Member, Mistakes};
use crate::json::Json;

/// Units of one line.
const QUANTITY_MAX: i64 = 99;
/// Lines of one cart.
const LINES_MAX: usize = 50;
const REASON_CHARS_MAX: usize = 500;
/// Characters of what services sign for us.
const OPAQUE_CHARS_MAX: usize = 1_024;
const EMAIL_CHARS_MAX: usize = 254;
/// More than any order comes to: a trillion centavos.
const AMOUNT_MAX: i64 = 1_000_000_000_000;
/// How a cart is merged into another.
pub const STRATEGIES: [&str; 4] = ["sum", "max", "guest", "customer"];

/// Something to be put into the cart.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct CartItemBody {
    variant_id: i64,
    /// 1 to 99; added to what is there.
    quantity: i32,
}

/// How many of a line.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct QuantityBody {
    /// 1 to 99.
    quantity: i32,
}

/// A coupon by its code.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct CouponCodeBody {
    code: String,
}

/// A guest's cart that becomes part of one's own.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct MergeBody {
    cart_token: String,
    /// `sum` (the default), `max`, `guest` or `customer`.
    strategy: Option<String>,
}

/// Where to, and what; the cart when nothing is said.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct QuotesBody {
    /// Eight digits.
    cep: String,
    /// Up to 50.
    items: Option<Vec<CartItemBody>>,
}

/// A cart that is ordered. Exactly one of `shipping_address` and `address_id`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct CheckoutBody {
    /// The cart that was seen.
    cart_version: i64,
    /// Needed from guests; users are written to at their account's address.
    email: Option<String>,
    shipping_address: Option<ShippingAddressBody>,
    /// One of the user's own addresses.
    address_id: Option<i64>,
    shipping_quote_id: String,
    /// Instead of the cart's.
    coupon_code: Option<String>,
    /// The total that was seen: centavos, or an amount as answers show it. Another one is refused.
    #[schema(value_type = Option<i64>)]
    expected_total: Option<i64>,
}

/// Where an order goes.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ShippingAddressBody {
    recipient: String,
    line1: String,
    line2: Option<String>,
    district: Option<String>,
    city: String,
    /// Two letters.
    state: String,
    /// Eight digits.
    postal_code: String,
    /// `BR`, the default.
    country: Option<String>,
}

/// How an order is paid.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct PaymentBody {
    /// `card` or `pix`.
    method: String,
    /// The provider's token of a card, `pm_…`, for `card`; never a card.
    payment_method: Option<String>,
    /// The total that was seen.
    expected_total: Option<i64>,
    /// Where the bank sends the buyer back to; a page of ours.
    return_url: Option<String>,
}

/// What is no longer wanted of an order; all of it when no line is named.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct CancelBody {
    /// Up to 500 characters.
    reason: Option<String>,
    lines: Option<Vec<OrderLineBody>>,
}

/// What is sent back.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ReturnBody {
    lines: Vec<OrderLineBody>,
}

/// Units of one line of an order.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct OrderLineBody {
    line: i32,
    /// 1 to 99.
    quantity: i32,
    /// Up to 500 characters.
    reason: Option<String>,
}

/// An order to be placed, as its body says.
#[derive(Debug)]
pub struct Checkout {
    /// Everything but what an `address_id` names, and the language.
    pub message: PlaceOrderRequest,
    /// The address to look up.
    pub address_id: Option<i64>,
}

/// Reads an object, and nothing but what `take` takes from it.
fn object<T>(body: Json, take: impl FnOnce(&mut Fields<'_>) -> T) -> Result<T, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let taken = take(&mut fields);
    fields.finish();
    mistakes.finish(taken)
}

/// Reads a [`CartItemBody`].
pub fn cart_item(body: Json) -> Result<AddItemRequest, Error> {
    object(body, |fields| AddItemRequest { variant_id: id(fields, "variant_id"), quantity: quantity(fields) })
}

/// Reads a [`QuantityBody`].
pub fn cart_quantity(body: Json) -> Result<i32, Error> {
    object(body, quantity)
}

/// Reads a [`CouponCodeBody`].
pub fn coupon_code(body: Json) -> Result<String, Error> {
    object(body, |fields| {
        let code = fields.string("code", 1..=64);
        fields.required("code", code)
    })
}

/// Reads a [`MergeBody`]: the token, and how.
pub fn merge(body: Json) -> Result<(String, String), Error> {
    object(body, |fields| {
        let token = fields.string("cart_token", 1..=128);
        (fields.required("cart_token", token), strategy(fields, "strategy"))
    })
}

/// Takes how carts are merged.
pub fn strategy(fields: &mut Fields<'_>, name: &str) -> String {
    word(fields, name, &STRATEGIES).present().unwrap_or_else(|| STRATEGIES[0].to_owned())
}

/// Reads a [`QuotesBody`].
pub fn quotes(body: Json) -> Result<orders::QuoteShippingRequest, Error> {
    object(body, |fields| {
        let cep = postal_code(fields, "cep");
        let items = fields.list("items", 1..=LINES_MAX, |item| QuoteItem {
            variant_id: id(item, "variant_id"),
            quantity: quantity(item),
        });
        orders::QuoteShippingRequest { cep, items: items.present().unwrap_or_default() }
    })
}

/// Reads a [`CheckoutBody`].
pub fn checkout(body: Json) -> Result<Checkout, Error> {
    object(body, |fields| {
        let cart_version = fields.integer("cart_version", 1..=i64::MAX);
        let quote = fields.string("shipping_quote_id", 1..=OPAQUE_CHARS_MAX);
        let address = fields.part("shipping_address", shipping_address).present();
        let address_id = fields.integer("address_id", 1..=i64::MAX).present();
        if address.is_some() == address_id.is_some() {
            let (pt, en) = ("envie shipping_address ou address_id", "send shipping_address or address_id");
            fields.mistake("shipping_address", "required", Text::fixed(pt, en));
        }
        let message = PlaceOrderRequest {
            cart_version: fields.required("cart_version", cart_version),
            email: fields.string("email", 3..=EMAIL_CHARS_MAX).present(),
            shipping_address: address,
            shipping_quote_id: fields.required("shipping_quote_id", quote),
            coupon_code: fields.string("coupon_code", 1..=64).present(),
            expected_total_amount: expected_total(fields),
            locale: String::new(),
        };
        Checkout { message, address_id }
    })
}

fn shipping_address(fields: &mut Fields<'_>) -> orders::Address {
    let mut text = |name: &str, chars_max: usize| {
        let member = fields.string(name, 1..=chars_max);
        fields.required(name, member)
    };
    let (recipient, line1, city) = (text("recipient", 200), text("line1", 200), text("city", 120));
    let state = text("state", 2);
    let postal_code = postal_code(fields, "postal_code");
    orders::Address {
        recipient,
        line1,
        line2: fields.string("line2", 1..=200).present(),
        district: fields.string("district", 1..=120).present(),
        city,
        state,
        postal_code,
        country: word(fields, "country", &["BR"]).present().unwrap_or_else(|| "BR".to_owned()),
    }
}

/// Reads a [`PaymentBody`]; the order is the caller's to fill in.
pub fn payment(body: Json) -> Result<PayRequest, Error> {
    object(body, |fields| {
        let method = word(fields, "method", &["card", "pix"]);
        let method = fields.required("method", method);
        let token = fields.string("payment_method", 1..=255);
        let payment_method = if method == "card" {
            fields.required("payment_method", token)
        } else {
            if token != Member::Absent {
                let detail = Text::fixed("só para cartão", "for cards only");
                fields.mistake("payment_method", "unknown", detail);
            }
            String::new()
        };
        PayRequest {
            order_id: 0,
            method,
            payment_method,
            expected_total_amount: expected_total(fields),
            return_url: fields.string("return_url", 1..=2_048).present().unwrap_or_default(),
        }
    })
}

/// Reads a [`CancelBody`]: the reason and the lines.
pub fn cancel(body: Json) -> Result<(Option<String>, Vec<OrderLine>), Error> {
    object(body, |fields| {
        let reason = fields.string("reason", 1..=REASON_CHARS_MAX).present();
        (reason, order_lines(fields, 1).present().unwrap_or_default())
    })
}

/// Reads a [`ReturnBody`].
pub fn returns(body: Json) -> Result<Vec<OrderLine>, Error> {
    object(body, |fields| {
        let lines = order_lines(fields, 1);
        fields.required("lines", lines)
    })
}

fn order_lines(fields: &mut Fields<'_>, lines_min: usize) -> Member<Vec<OrderLine>> {
    fields.list("lines", lines_min..=LINES_MAX, |line| {
        let number = line.integer("line", 1..=i64::from(i32::MAX));
        OrderLine {
            line: small(line.required("line", number)),
            quantity: quantity(line),
            reason: line.string("reason", 1..=REASON_CHARS_MAX).present(),
        }
    })
}

/// Centavos, or an amount as answers show it.
fn expected_total(fields: &mut Fields<'_>) -> Option<i64> {
    let name = "expected_total";
    let amount = match fields.take(name) {
        Member::Absent | Member::Null => return None,
        Member::Present(Json::Object(members)) => {
            members.into_iter().find_map(|(member, value)| match value {
                Json::Integer(amount) if member == "amount" => Some(amount),
                _ => None,
            })
        }
        Member::Present(Json::Integer(amount)) => Some(amount),
        Member::Present(_) => None,
    };
    if amount.is_none_or(|amount| !(0..=AMOUNT_MAX).contains(&amount)) {
        fields.mistake(name, "type", Text::fixed("um valor em centavos", "an amount in centavos"));
    }
    amount
}

fn postal_code(fields: &mut Fields<'_>, name: &str) -> String {
    let code = fields.string(name, 1..=16);
    let code = fields.required(name, code);
    let valid = code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit());
    // What is not there was noted already.
    if !valid && !code.is_empty() {
        fields.mistake(name, "format", Text::fixed("oito dígitos", "eight digits"));
    }
    code
}

fn id(fields: &mut Fields<'_>, name: &str) -> i64 {
    let id = fields.integer(name, 1..=i64::MAX);
    fields.required(name, id)
}

fn quantity(fields: &mut Fields<'_>) -> i32 {
    let quantity = fields.integer("quantity", 1..=QUANTITY_MAX);
    small(fields.required("quantity", quantity))
}

/// A number whose range was checked, or noted as a mistake.
fn small(number: i64) -> i32 {
    i32::try_from(number).unwrap_or_default()
}

fn word(fields: &mut Fields<'_>, name: &str, words: &[&str]) -> Member<String> {
    let word = fields.string(name, 1..=64);
    // What is empty, or no string at all, was noted already.
    if let Member::Present(text) = &word
        && !text.is_empty()
        && !words.contains(&text.as_str())
    {
        let list = words.join(", ");
        let detail = Text { pt: format!("um de: {list}").into(), en: format!("one of: {list}").into() };
        fields.mistake(name, "invalid", detail);
    }
    word
}
