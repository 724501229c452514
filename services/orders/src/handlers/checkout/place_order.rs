//! A cart becomes an order: its goods are promised, its coupon is used up, and its price is fixed.
//!
//! First the cart is read with the buyer's eyes and the catalog is asked what it costs now: whoever wants what is sold
//! out is told so here, without a lock. Then one transaction of the service does everything, or nothing: no network
//! call is inside, and how many statements it takes does not depend on how many lines there are.

mod offer;

use std::sync::Arc;

use failpoints::hit;
use idempotency::Done;
use proto::events::v1::{OrderPlaced, OrderedLine};
use proto::orders::v1 as pb;
use rls::{Caller, Tx};
use time::{Duration, OffsetDateTime};

use self::offer::Offered;
use crate::domain::checkout::{Email, Locale};
use crate::domain::coupon::Code;
use crate::domain::order::{Mover, Status};
use crate::domain::{Invalid, OrderId, Version, order_token};
use crate::error::{Conflict, Error, Exhausted, LineProblem};
use crate::facts::hex;
use crate::handlers::{Buyer, Call, now, record_all};
use crate::payments::facts::Facts;
use crate::secret_key::SecretKey;
use crate::store::checkout::{self as store, NewOrder};
use crate::store::orders::{EntryRow, ItemRow, OrderRow, StoredAddress, StoredTax};
use crate::store::payments::stock;
use crate::store::{holds, order_changes};
use crate::wire;
use events::Fact;
use sqlx::types::Json;

/// How long goods are kept for an order that nobody has begun to pay.
const KEPT: Duration = Duration::minutes(15);
/// Orders that one buyer may have waiting to be paid.
const UNPAID_MAX: i64 = 3;

pub(crate) async fn place_order(
    call: &Call,
    request: pb::PlaceOrderRequest,
) -> Result<Done<pb::PlaceOrderResponse>, Error> {
    let buyer = call.buyer()?;
    let wish = Wish::parse(&buyer, request);
    let address = wish.as_ref().ok().map(|wish| wire::order::address(wish.address.clone()));
    let key = call.shared.key;
    // A repeat is answered as before, whatever became of the cart and of the buyer's address meanwhile: that is for the
    // transaction to find out, and so is a refusal its to keep.
    let offered = async {
        let place = call.place_to_check_out().await?;
        let wish = match wish {
            Ok(wish) => wish,
            Err(invalid) => return Ok(Err(invalid)),
        };
        Ok(offer::offer(call, &buyer, &wish).await.map(|offered| Arc::new((wish, offered, place))))
    };
    let mut done = call
        .once_after(Caller::Service, offered, move |tx, offered| {
            Box::pin(async move {
                hit("ck.after_idem_claim").await?;
                let (wish, offered, _place) = &*offered;
                place(tx, &key, &buyer, wish, offered).await
            })
        })
        .await?;
    hit("ck.after_commit").await?;
    // Neither a secret nor where somebody lives is kept for repeats: both follow from what is known.
    if let Some(order) = &mut done.reply.order {
        order.shipping_address = address;
        if buyer.user_id().is_none() {
            done.reply.order_token = order_token::of(&key, OrderId::known(order.id));
        }
    }
    Ok(done)
}

/// What the buyer asks for, all of it valid.
#[derive(Debug)]
struct Wish {
    cart_version: Version,
    /// Of a guest.
    email: Option<Email>,
    destination: crate::domain::checkout::Destination,
    address: StoredAddress,
    shipping_quote_id: String,
    coupon: Option<Code>,
    expected_total: Option<i64>,
    locale: Locale,
}

impl Wish {
    fn parse(buyer: &Buyer, request: pb::PlaceOrderRequest) -> Result<Self, Error> {
        let email = match (buyer.user_id(), request.email) {
            // A user is written to at the account's address, whatever is said here.
            (Some(_), _) => None,
            (None, Some(email)) => Some(Email::parse("email", &email)?),
            (None, None) => return Err(Invalid::value("email", "must be given by guests").into()),
        };
        let destination = wire::checkout::destination(request.shipping_address)?;
        let code = request.coupon_code.filter(|code| !code.trim().is_empty());
        Ok(Self {
            cart_version: Version::parse("cart_version", request.cart_version)?,
            email,
            address: wire::checkout::stored(&destination),
            destination,
            shipping_quote_id: request.shipping_quote_id,
            coupon: code.map(|code| Code::parse("coupon_code", &code)).transpose()?,
            expected_total: request.expected_total_amount,
            locale: match request.locale.as_str() {
                "" => Locale::Portuguese,
                word => Locale::parse("locale", word)?,
            },
        })
    }

    /// As coupons know the buyer.
    fn customer_key(&self, buyer: &Buyer) -> String {
        match (buyer.user_id(), &self.email) {
            (Some(id), _) => format!("user:{id}"),
            (None, Some(email)) => format!("mail:{}", hex(&email.sha256())),
            (None, None) => unreachable!("a guest without an address was refused"),
        }
    }
}

/// All of the order, in the service's own transaction.
async fn place(
    tx: &mut Tx,
    key: &SecretKey,
    buyer: &Buyer,
    wish: &Wish,
    offered: &Offered,
) -> Result<pb::PlaceOrderResponse, Error> {
    let (user_id, token_sha256) = (buyer.user_id(), buyer.token_sha256());
    let cart = store::lock_cart(tx, offered.cart_id, user_id, token_sha256).await?.ok_or_else(empty_cart)?;
    match cart.state.as_str() {
        "active" => {}
        "locked" => return Err(Error::Conflict(Conflict::CartLocked)),
        _ => return Err(empty_cart()),
    }
    let variants = || offered.items.iter().map(|item| item.variant_id);
    let quantities = || offered.items.iter().map(|item| item.quantity);
    if cart.version != offered.cart_version
        || !variants().eq(cart.variants.iter().copied())
        || !quantities().eq(cart.quantities.iter().copied())
    {
        return Err(Error::StaleVersion { expected: offered.cart_version, current: cart.version });
    }
    if cart.unpaid >= UNPAID_MAX {
        return Err(Error::Exhausted(Exhausted::UnpaidOrders));
    }

    let id = OrderId::known(cart.order_id);
    let taxes: Vec<StoredTax> = offered.taxes.clone();
    let is_guest = user_id.is_none();
    let new = NewOrder {
        id,
        user_id,
        order_token_sha256: is_guest.then(|| order_token::sha256(&order_token::of(key, id))),
        cart_token_sha256: token_sha256,
        email: wish.email.as_ref().map(Email::as_str),
        locale: wish.locale.as_str(),
        cart_id: offered.cart_id,
        currency: &offered.currency,
        items_amount: offered.items_amount,
        discount_amount: offered.discount_amount,
        shipping_amount: offered.shipping_amount,
        tax_amount: taxes.iter().map(|tax| tax.amount).sum(),
        taxes: &taxes,
        total_amount: offered.total_amount,
        shipping_address: &wish.address,
        shipping_service: offered.shipping_service,
        coupon_code: offered.coupon.as_deref(),
    };
    let (number, created_at) = store::insert_order(tx, &new).await?;
    hit("ck.after_order_insert").await?;
    store::insert_items(tx, id, user_id, &offered.items).await?;
    let begun_at = store::insert_first_entry(tx, id, user_id).await?;
    let cart_version = store::convert_cart(tx, offered.cart_id).await?;

    // Rows that others wait for come last: stock by ascending variant, then the coupon.
    let variants: Vec<i64> = variants().collect();
    let quantities: Vec<i32> = quantities().collect();
    let reserved = holds::reserve(tx, id, &variants, &quantities, KEPT.as_seconds_f64())
        .await
        .map_err(|error| with_place(Error::from(error), &variants))?;
    hit("ck.after_reserve").await?;
    if let Some(code) = &offered.coupon {
        holds::redeem(tx, id, code, &wish.customer_key(buyer)).await?;
    }
    hit("ck.after_redeem").await?;

    let now = now();
    let mut facts = Facts::new(buyer.actor, now);
    facts.push(1, placed(&new, &offered.items));
    facts.stock(&reserved);
    let owner = crate::facts::own_cart(offered.cart_id, buyer);
    facts.push(cart_version, Fact::CartConverted(owner));
    let mut history = vec![entry(1, None, Status::PendingPayment, Mover::Customer, begun_at)];
    let mut version = 1;
    if new.total_amount == 0 {
        // Nothing is to be paid, so nobody can be waited for.
        let taken = stock::take(tx, id.get()).await?.unwrap_or_default();
        version = order_changes::move_to(tx, id, Status::Paid, Mover::System, None).await?;
        facts.stock(&taken);
        facts.moved(id.get(), user_id, version, Status::PendingPayment.as_str(), Status::Paid.as_str());
        history.push(entry(2, Some(Status::PendingPayment), Status::Paid, Mover::System, begun_at));
    }
    record_all(tx, facts.events()).await?;
    hit("ck.after_outbox").await?;

    let status = if version == 1 { Status::PendingPayment } else { Status::Paid };
    let order = OrderRow {
        id: id.get(),
        number,
        user_id,
        status: status.as_str().to_owned(),
        currency: offered.currency.clone(),
        items_amount: new.items_amount,
        discount_amount: new.discount_amount,
        shipping_amount: new.shipping_amount,
        tax_amount: new.tax_amount,
        taxes: Json(taxes.clone()),
        total_amount: new.total_amount,
        refunded_amount: 0,
        shipping_address: None,
        shipping_service: new.shipping_service.to_owned(),
        coupon_code: offered.coupon.clone(),
        version,
        created_at,
        // As the reservation counts: from the beginning of this transaction.
        reserved_until: Some(created_at + KEPT),
        shipments: Json(Vec::new()),
    };
    let items = (1..).zip(&offered.items).map(|(line, item)| ItemRow {
        line,
        product_id: item.product_id,
        variant_id: item.variant_id,
        sku: item.sku.clone(),
        name: item.name.clone(),
        quantity: item.quantity,
        unit_amount: item.unit_amount,
        discount_amount: item.discount_amount,
        total_amount: item.unit_amount * i64::from(item.quantity) - item.discount_amount,
        cancelled: 0,
        fulfilled: 0,
        returned: 0,
        refunded: 0,
    });
    let parts = wire::order::Parts {
        order,
        items: items.collect(),
        history,
        payments: Vec::new(),
        notes: Vec::new(),
    };
    Ok(pb::PlaceOrderResponse {
        order: Some(wire::order::order(parts)),
        order_token: String::new(),
        receipts: Vec::new(),
    })
}

fn placed(order: &NewOrder<'_>, items: &[store::NewItem]) -> Fact {
    let line = |item: &store::NewItem| OrderedLine {
        product_id: item.product_id,
        variant_id: item.variant_id,
        quantity: item.quantity,
    };
    Fact::OrderPlaced(OrderPlaced {
        order_id: order.id.get(),
        user_id: order.user_id,
        total_amount: order.total_amount,
        currency: order.currency.to_owned(),
        lines: items.iter().map(line).collect(),
        cart_token_sha256: order.cart_token_sha256.map(|hash| hex(&hash)),
    })
}

fn entry(seq: i32, from: Option<Status>, to: Status, mover: Mover, at: OffsetDateTime) -> EntryRow {
    EntryRow {
        seq,
        from_status: from.map(|status| status.as_str().to_owned()),
        to_status: to.as_str().to_owned(),
        actor: mover.as_str().to_owned(),
        reason: None,
        at,
    }
}

/// Nothing can be ordered.
fn empty_cart() -> Error {
    Invalid::because("cart_empty", "cart_version", "there is nothing in the cart").into()
}

/// Says at which place of the cart the lines to blame are.
fn with_place(error: Error, variants: &[i64]) -> Error {
    let Error::Lines(conflict, lines) = error else { return error };
    let place = |line: LineProblem| {
        let found = variants.iter().position(|variant| *variant == line.variant_id);
        let index = found.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1);
        LineProblem { index, ..line }
    };
    Error::Lines(conflict, lines.into_iter().map(place).collect())
}
