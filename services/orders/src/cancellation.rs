//! Cancelling an order, or some of its units before they are sent off: whoever asks for it.

use rls::{Caller, Tx};
use time::OffsetDateTime;

use crate::domain::order::{Mover, Status, Units, share};
use crate::domain::{Invalid, OrderId, Version, cart};
use crate::error::{Conflict, Error, Missing};
use crate::handlers::{Call, Principal, check_version, record_all};
use crate::order_facts;
use crate::payments::facts::Facts;
use crate::payments::refunds::{self, Promise};
use crate::payments::{self, GivenUp};
use crate::store::order_changes::{self as store, LockedOrder, Refill};
use crate::store::orders::{self, ItemRow};
use crate::store::payments::stock;
use crate::store::{carts, holds};

/// What is to be cancelled, by whom, and why.
#[derive(Clone, Debug)]
pub(crate) struct Cancellation {
    pub(crate) actor: Caller,
    pub(crate) mover: Mover,
    pub(crate) reason: Option<String>,
    /// Everything when empty.
    pub(crate) units: Vec<Units>,
    pub(crate) goods: Goods,
}

/// What becomes of what a buyer had chosen, when nobody has paid for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goods {
    /// The buyer has changed their mind.
    Forgotten,
    /// They go back into the buyer's cart.
    IntoCart,
}

/// Which orders may be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    /// Those that nobody has paid.
    Unpaid,
    /// Those as well that are paid and not yet sent off.
    Unshipped,
}

/// What was done outside for a cancellation, before its transaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    given_up: Option<GivenUp>,
}

/// Makes way for a cancellation: an attempt to pay that waits for its buyer is given up at the provider, so that nobody
/// who still has a code to scan is charged afterwards. That cannot be taken back, so that whatever speaks against the
/// cancellation, in the order as `eyes` see it or in the request's key, is found out before.
///
/// # Errors
/// As [`cancel`]; a version other than `expected`; the provider's silence.
pub(crate) async fn make_way(
    call: &Call,
    eyes: Caller,
    id: OrderId,
    expected: Option<Version>,
    only: Only,
    wanted: &Cancellation,
) -> Result<Way, Error> {
    let key = call.repeat.clone();
    let seen = call.read_as(eyes, move |tx| {
        Box::pin(async move {
            let order = orders::standing(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
            let is_known = match &key {
                Some(key) => idempotency::is_known(tx, key).await?,
                None => false,
            };
            Ok((order, is_known))
        })
    });
    let (order, is_known) = seen.await?;
    if is_known {
        // A repeat, or a key of another request: the transaction finds the answer.
        return Ok(Way::default());
    }
    if let Some(expected) = expected {
        check_version(expected, order.version)?;
    }
    let status = Status::stored(&order.status);
    may_be_cancelled(status, only, wanted)?;
    let given_up = if status.is_unpaid() {
        payments::give_up_waiting(&call.shared, id, call.within).await?
    } else {
        None
    };
    Ok(Way { given_up })
}

impl Way {
    /// Writes down what was given up, in the cancellation's transaction. The order is still as `expected`, but for what
    /// follows from the giving up itself.
    ///
    /// # Errors
    /// Another version; `payment_in_flight` when money may come all the same.
    pub(crate) async fn take(self, tx: &mut Tx, id: OrderId, expected: Option<Version>) -> Result<(), Error> {
        if let Some(expected) = expected {
            let order = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
            // The provider's own word of it may have been quicker than we are.
            let is_told = self.given_up.is_some()
                && order.status() == Status::PaymentFailed
                && order.version == expected.get() + 1;
            if !is_told {
                check_version(expected, order.version)?;
            }
        }
        match self.given_up {
            Some(given_up) => given_up.apply(tx).await,
            None => Ok(()),
        }
    }
}

/// Refuses what cannot be cancelled, as far as the order's status tells.
fn may_be_cancelled(status: Status, only: Only, wanted: &Cancellation) -> Result<(), Error> {
    let may = if status.is_unpaid() {
        // What is to be paid would be another sum than the one that was agreed on.
        wanted.units.is_empty()
    } else {
        status.is_unshipped() && only == Only::Unshipped
    };
    if may { Ok(()) } else { Err(Error::Conflict(Conflict::IllegalTransition)) }
}

/// Cancels in the service's own transaction. What was paid is promised back: workers drive that from here on.
///
/// # Errors
/// `illegal_transition` when the order is too far on its way, `payment_in_flight` when money may still come.
pub(crate) async fn cancel(
    tx: &mut Tx,
    id: OrderId,
    now: OffsetDateTime,
    only: Only,
    wanted: &Cancellation,
) -> Result<(), Error> {
    let order = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
    let mut facts = Facts::new(wanted.actor, now);
    may_be_cancelled(order.status(), only, wanted)?;
    if order.status().is_unpaid() {
        cancel_unpaid(tx, &order, wanted, &mut facts).await?;
    } else {
        cancel_paid(tx, &order, wanted, &mut facts).await?;
    }
    record_all(tx, facts.events()).await
}

async fn cancel_unpaid(
    tx: &mut Tx,
    order: &LockedOrder,
    wanted: &Cancellation,
    facts: &mut Facts,
) -> Result<(), Error> {
    let id = OrderId::known(order.id);
    if store::has_live_payment(tx, id).await? {
        return Err(Error::Conflict(Conflict::PaymentInFlight));
    }
    let items = orders::items(tx, id).await?;
    // The cart before the stock, as in a checkout: two that lock both must do it in the same order.
    let reopened = match wanted.goods {
        Goods::Forgotten => None,
        Goods::IntoCart => reopen_cart(tx, order, &items).await?,
    };
    let released = stock::release(tx, order.id).await?;
    stock::give_coupon_back(tx, order.id).await?;
    store::cancel_units(tx, id, &waiting(&items)).await?;
    let version = store::move_to(tx, id, Status::Cancelled, wanted.mover, wanted.reason.as_deref()).await?;
    match reopened {
        None => facts.push(version, order_facts::moved(order, Status::Cancelled)),
        Some(cart) => {
            let token = cart.token_sha256.as_deref();
            facts.push(version, order_facts::moved_and_reopened(order, Status::Cancelled, token));
            facts.push(cart.version, order_facts::cart_updated(&cart));
        }
    }
    facts.stock(&released);
    Ok(())
}

/// Puts what was ordered into the cart that its owner has now; nothing when the owner is gone.
async fn reopen_cart(
    tx: &mut Tx,
    order: &LockedOrder,
    items: &[ItemRow],
) -> Result<Option<carts::CartRow>, Error> {
    let token = order.cart_token_sha256.as_deref().and_then(|hash| <[u8; 32]>::try_from(hash).ok());
    let owner = match (order.user_id, token) {
        (Some(user), _) => Principal::User(rls::UserId(user)),
        (None, Some(token)) => Principal::Guest(token),
        (None, None) => return Ok(None),
    };
    let touched = carts::touch(tx, owner, cart::lifetime(owner)).await?;
    let cart = touched.ok_or(Error::Conflict(Conflict::CartLocked))?;
    let goods: Vec<Refill> = items
        .iter()
        .filter(|item| item.waiting() > 0)
        .map(|item| Refill {
            variant_id: item.variant_id,
            product_id: item.product_id,
            quantity: item.waiting(),
            unit_amount: item.unit_amount,
        })
        .collect();
    // What was ordered is there for all of it, whatever was put into the cart since.
    let lines_max = i64::try_from(cart::MERGED_LINES_MAX).expect("a cart is small");
    store::refill_cart(tx, cart.id, &goods, order.coupon_code.as_deref(), lines_max).await?;
    Ok(Some(cart))
}

async fn cancel_paid(
    tx: &mut Tx,
    order: &LockedOrder,
    wanted: &Cancellation,
    facts: &mut Facts,
) -> Result<(), Error> {
    let id = OrderId::known(order.id);
    let items = orders::items(tx, id).await?;
    let is_sent = items.iter().any(|item| item.fulfilled > 0);
    let units = if wanted.units.is_empty() {
        if is_sent {
            return Err(Error::Conflict(Conflict::IllegalTransition));
        }
        waiting(&items)
    } else {
        chosen(&items, &wanted.units)?
    };
    let of_line = |line: i32| items.iter().find(|item| item.line == line);
    let goods: Vec<(i64, i32)> =
        units.iter().filter_map(|&(line, quantity)| Some((of_line(line)?.variant_id, quantity))).collect();
    let left: i32 = items.iter().map(ItemRow::waiting).sum::<i32>() - units.iter().map(|u| u.1).sum::<i32>();
    let is_whole = left == 0 && !is_sent;

    let back = holds::give_back(tx, id, &goods).await?;
    store::cancel_units(tx, id, &units).await?;
    // Units whose money went back before, for whatever reason, are not paid back once more.
    let counted: Vec<(i32, i32)> = units
        .iter()
        .filter_map(|&(line, quantity)| {
            let item = of_line(line)?;
            Some((line, quantity.min(item.quantity - item.refunded))).filter(|(_, counted)| *counted > 0)
        })
        .collect();
    let worth: i64 = counted
        .iter()
        .filter_map(|&(line, quantity)| {
            let item = of_line(line)?;
            Some(share(item.total_amount, item.quantity, item.cancelled, quantity))
        })
        .sum();
    // All of it includes the shipping. What went back already does not go back again.
    let promise = Promise {
        amount: (!is_whole).then_some(worth),
        reason: wanted.reason.as_deref().unwrap_or("cancelled"),
        requested_by: wanted.actor.id(),
        units: &counted,
    };
    if is_whole || worth > 0 {
        refunds::promise(tx, order.id, &promise).await?;
    }

    if is_whole {
        stock::give_coupon_back(tx, order.id).await?;
        let version =
            store::move_to(tx, id, Status::Cancelled, wanted.mover, wanted.reason.as_deref()).await?;
        facts.push(version, order_facts::moved(order, Status::Cancelled));
    } else {
        let version = store::touch(tx, id).await?;
        facts.push(version, order_facts::updated(order, &["items"]));
        if left == 0 {
            // What is not cancelled is on its way already.
            let version = store::move_to(tx, id, Status::Shipped, wanted.mover, None).await?;
            facts.push(version, order_facts::moved(order, Status::Shipped));
        }
    }
    facts.stock(&back);
    Ok(())
}

/// Line and quantity of all that is neither cancelled nor sent off.
fn waiting(items: &[ItemRow]) -> Vec<(i32, i32)> {
    items.iter().map(|item| (item.line, item.waiting())).filter(|(_, quantity)| *quantity > 0).collect()
}

/// The units that somebody named, if they are all still here.
fn chosen(items: &[ItemRow], units: &[Units]) -> Result<Vec<(i32, i32)>, Error> {
    for units in units {
        let item = items.iter().find(|item| item.line == units.line);
        if item.is_none_or(|item| units.quantity > item.quantity) {
            let rule = "must be lines of the order, and no more of each than was ordered";
            return Err(Invalid::value("lines", rule).into());
        }
        if item.is_none_or(|item| units.quantity > item.waiting()) {
            return Err(Error::Conflict(Conflict::IllegalTransition));
        }
    }
    Ok(units.iter().map(|units| (units.line, units.quantity)).collect())
}
