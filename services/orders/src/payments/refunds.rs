//! Money that goes back: promised in the transaction of whoever decides so, asked of the provider afterwards, under a key
//! that is always the same.

use rls::{Caller, Class, DatabaseError, Tx};
use time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

use super::Payments;
use super::facts::{Facts, Whose};
use super::gate::Asking;
use super::provider::{CallError, NewRefund, ProviderRefund, RefundStatus};
use super::settle::{WORK_DEADLINE, left};
use super::{CALL_DEADLINE, events::Unworked};
use crate::domain::order::{Mover, Status as OrderStatus};
use crate::domain::payment::Status;
use crate::domain::{Invalid, OrderId};
use crate::error::{Conflict, Error};
use crate::handlers::{now, record_all};
use crate::store::payments::issues::{self, Issue};
use crate::store::payments::provider_events::Kept;
use crate::store::payments::stock;
use crate::store::refunds::{self as store, Book, Due, First, Locked, Raise, Refundable};
use crate::store::{holds, order_changes, orders};

/// Refunds taken at once.
const BATCH: i64 = 8;
/// Refusals that pass by themselves: the refund stays promised, and is asked for again.
const PASSING: [&str; 2] = ["balance_insufficient", "lock_timeout"];
/// When that is.
const LATER: Duration = Duration::minutes(10);

/// Money that somebody shall have back.
#[derive(Debug)]
pub(crate) struct Promise<'a> {
    /// Minor units; all that is left when absent.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: &'a str,
    pub(crate) requested_by: Option<i64>,
    /// Units to be counted as refunded with it, line and quantity; counted no longer should it fail.
    pub(crate) units: &'a [(i32, i32)],
}

/// A refund that will be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promised {
    pub(crate) id: Uuid,
    pub(crate) payment_id: Uuid,
    /// Minor units.
    pub(crate) amount: i64,
}

/// Promises money back to whoever paid an order, in the caller's transaction; the caller holds the order's row. `None`
/// when nothing is left to give back; never more than is left. The money is on its way when the promise is committed:
/// workers ask the provider until it says how it ended, at once after [`hurry_refunds`](super::hurry_refunds).
///
/// # Errors
/// [`Error::Invalid`] for units that the order does not have.
pub(crate) async fn promise(
    tx: &mut Tx,
    order_id: i64,
    promise: &Promise<'_>,
) -> Result<Option<Uuid>, Error> {
    let Some((payment, rest)) = refundable(tx, order_id, First::Paid).await? else { return Ok(None) };
    let amount = promise.amount.unwrap_or(rest).min(rest);
    Ok(Some(write(tx, order_id, &payment, amount, promise).await?.id))
}

/// The same of exactly what is wanted. Money that was paid besides what the order cost, and is still here, goes first,
/// unless it goes back for units.
///
/// # Errors
/// [`Conflict::IllegalTransition`] when nothing is left to give back, [`Error::Invalid`] when less is left, or for units
/// that the order does not have.
pub(crate) async fn promise_exactly(
    tx: &mut Tx,
    order_id: i64,
    promise: &Promise<'_>,
) -> Result<Promised, Error> {
    let first = if promise.units.is_empty() { First::Stray } else { First::Paid };
    let left = refundable(tx, order_id, first).await?;
    let (payment, rest) = left.ok_or(Error::Conflict(Conflict::IllegalTransition))?;
    let amount = promise.amount.unwrap_or(rest);
    if !(1..=rest).contains(&amount) {
        return Err(Error::Invalid(Invalid::value("amount", format!("must be from 1 to {rest}"))));
    }
    write(tx, order_id, &payment, amount, promise).await
}

/// The payment that money can go back to, locked, and how much.
async fn refundable(tx: &mut Tx, order_id: i64, first: First) -> Result<Option<(Refundable, i64)>, Error> {
    let payment = store::lock_refundable(tx, order_id, first).await?;
    let left = payment.map(|payment| {
        let rest = payment.captured_amount - payment.refunded_amount;
        (payment, rest)
    });
    Ok(left.filter(|(_, rest)| *rest > 0))
}

async fn write(
    tx: &mut Tx,
    order_id: i64,
    payment: &Refundable,
    amount: i64,
    promise: &Promise<'_>,
) -> Result<Promised, Error> {
    if !promise.units.is_empty() {
        let counted = store::count_units(tx, order_id, promise.units).await?;
        if usize::try_from(counted) != Ok(promise.units.len()) {
            let rule = "must be lines of the order, with no more units than were not refunded yet";
            return Err(Error::Invalid(Invalid::value("lines", rule)));
        }
    }
    let id = Uuid::now_v7();
    let key = format!("mc:{order_id}:{}:refund:{id}", payment.attempt);
    let new = store::NewRefund {
        id,
        payment_id: payment.id,
        order_id,
        provider_key: &key,
        reason: promise.reason,
        amount,
        requested_by: promise.requested_by,
        units: promise.units,
    };
    store::insert(tx, &new).await?;
    Ok(Promised { id, payment_id: payment.id, amount })
}

impl Payments {
    /// Asks for some refunds that are due; answers how many.
    pub(super) async fn work_some_refunds(&self) -> Result<usize, Error> {
        let provider = self.provider().name();
        let taken = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(store::take_due(tx, BATCH, provider).await?) })
        });
        let due = taken.await?.value;
        let count = due.len();
        for due in due {
            let id = due.id;
            if let Err(error) = self.settle_refund(due).await {
                tracing::warn!(refund.id = %id, %error, "a refund was not settled");
            }
        }
        Ok(count)
    }

    async fn settle_refund(&self, due: Due) -> Result<(), Error> {
        failpoints::hit("refund.after_row").await?;
        if due.is_old {
            let detail = "pending for 23 hours; it is looked for, and asked for no more".to_owned();
            self.refund_issue(&due, "refund_unsettled", detail).await?;
        }
        let answer = self.ask_for_refund(&due).await;
        failpoints::hit("refund.after_call").await?;
        match answer {
            Ok(refund) => self.apply_refund(due.id, refund).await,
            Err(Unmade::Here(error)) => Err(error),
            Err(Unmade::Provider(CallError::Refused { code })) => {
                self.refund_issue(&due, "refund_refused", format!("the provider refused: {code}")).await?;
                if PASSING.contains(&code.as_str()) {
                    // Its key would say the same for a day.
                    self.give_up_key(&due, Some(LATER)).await
                } else {
                    self.fail_refund(due.id).await
                }
            }
            Err(Unmade::Provider(error)) => {
                tracing::info!(refund.id = %due.id, %error, "a refund is not settled yet");
                Ok(())
            }
        }
    }

    /// Asks for a refund by the key that is in use, however often. A key is given up only when what it began is over and
    /// made nothing; whoever sees that goes on with the same next key, so that two of them never make two refunds.
    async fn ask_for_refund(&self, due: &Due) -> Result<ProviderRefund, Unmade> {
        let by = Instant::now() + 2 * CALL_DEADLINE;
        let gate = &self.inner.gate;
        if let Some(reference) = &due.provider_ref {
            let asked = gate.ask(Asking::Worker, |provider| provider.retrieve_refund(reference, left(by)));
            return Ok(asked.await?);
        }
        let intent = due.intent.clone().ok_or(CallError::Puzzling("a payment without an intent"))?;
        if due.is_old || due.generation > 0 {
            // Nobody asks for an old one any more: that it is not there is proof then.
            match self.find_refund(due, &intent, by).await? {
                Some(found) => return Ok(found),
                None if due.is_over => return Err(CallError::Refused { code: "unsettled".to_owned() }.into()),
                None if due.is_old => return Err(CallError::Puzzling("no such refund").into()),
                None => {}
            }
        }
        let new = NewRefund {
            intent: intent.clone(),
            amount: due.amount,
            order_id: due.order_id,
            payment_id: due.payment_id,
            refund_id: due.id,
        };
        let refund = |generation: i32| {
            let (new, key) = (&new, key(&due.provider_key, generation));
            async move { gate.ask(Asking::Worker, |provider| provider.refund(&key, new, left(by))).await }
        };
        let error = match refund(due.generation).await {
            Ok(refund) => return Ok(refund),
            Err(error @ (CallError::Replayed | CallError::Refused { .. })) => error,
            Err(error) => return Err(error.into()),
        };
        if let Some(found) = self.find_refund(due, &intent, by).await? {
            return Ok(found);
        }
        // The first request with this key is over, and the list shows that it made nothing.
        if error == CallError::Replayed && due.checks > 1 {
            self.give_up_key(due, None).await?;
            return Ok(refund(due.generation + 1).await?);
        }
        Err(error.into())
    }

    /// The key in use gives no other answer: the next one is used from now on.
    async fn give_up_key(&self, due: &Due, later: Option<Duration>) -> Result<(), Error> {
        let (id, generation) = (due.id, due.generation);
        let given_up = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move {
                store::next_generation(tx, id, generation).await?;
                if let Some(by) = later {
                    store::put_off(tx, id, by).await?;
                }
                Ok::<_, DatabaseError>(())
            })
        });
        Ok(given_up.await.map(drop)?)
    }

    async fn find_refund(
        &self,
        due: &Due,
        intent: &str,
        by: Instant,
    ) -> Result<Option<ProviderRefund>, CallError> {
        let all =
            self.inner.gate.ask(Asking::Worker, |provider| provider.refunds_of(intent, left(by))).await?;
        Ok(all.into_iter().find(|refund| refund.of.refund_id == Some(due.id)))
    }

    /// What an event about a refund leads to: every refund of the intent is applied.
    pub(super) async fn about_refund(&self, event: &Kept) -> Result<&'static str, Unworked> {
        // Another shop's money at the same provider is none of ours.
        let (Some(intent), Some(_)) = (event.provider_ref.as_deref(), event.payment_id) else {
            return Ok("ignored");
        };
        let gate = &self.inner.gate;
        let refunds = gate.ask(Asking::Worker, |provider| provider.refunds_of(intent, CALL_DEADLINE));
        let (ours, foreign): (Vec<_>, Vec<_>) =
            refunds.await?.into_iter().partition(|refund| refund.of.refund_id.is_some());
        for refund in ours {
            if let Some(id) = refund.of.refund_id {
                self.apply_refund(id, refund).await?;
            }
        }
        if foreign.is_empty() {
            return Ok("applied");
        }
        let now = gate.ask(Asking::Worker, |provider| provider.retrieve(intent, CALL_DEADLINE)).await?;
        // An authorisation that was given up may be listed as a refund: no money went anywhere.
        for refund in foreign.into_iter().filter(|_| now.received > 0) {
            self.raise(Issue {
                kind: "foreign_refund",
                order_id: event.order_id,
                payment_id: event.payment_id,
                reference: refund.reference,
                detail: format!("{} was refunded of {intent} by somebody else", refund.amount),
            })
            .await?;
        }
        Ok("applied")
    }

    /// Compares a page of the provider's refunds with ours; answers those that differ, which are ours.
    pub(super) async fn differing(
        &self,
        refunds: Vec<ProviderRefund>,
    ) -> Result<Vec<(Uuid, ProviderRefund)>, Error> {
        // What does not name a refund is not of this shop, or told by an event.
        let ids: Vec<Uuid> = refunds.iter().filter_map(|refund| refund.of.refund_id).collect();
        let books = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(store::books(tx, &ids).await?) })
        });
        let books = books.await?.value;
        let differs = |refund: &ProviderRefund, book: &Book| {
            let status = match refund.status {
                RefundStatus::Pending => "pending",
                RefundStatus::Succeeded => "succeeded",
                RefundStatus::Failed => "failed",
            };
            (status, Some(refund.reference.as_str()), refund.amount)
                != (book.status.as_str(), book.provider_ref.as_deref(), book.amount)
        };
        let differing = refunds.into_iter().filter_map(|refund| {
            let book = books.iter().find(|book| Some(book.id) == refund.of.refund_id)?;
            differs(&refund, book).then_some((book.id, refund))
        });
        Ok(differing.collect())
    }

    pub(super) async fn apply_refund(&self, id: Uuid, refund: ProviderRefund) -> Result<(), Error> {
        let applied = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { apply(tx, id, &refund).await })
        });
        if applied.await?.value == Applied::Alarm {
            self.inner.counts.issue();
            tracing::error!(refund.id = %id, "a refund is not as it should be: a person has to look at it");
        }
        Ok(())
    }

    async fn fail_refund(&self, id: Uuid) -> Result<(), Error> {
        let failed = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move {
                match store::lock(tx, id).await? {
                    Some(refund) if refund.status == "pending" => fail(tx, &refund, None).await,
                    Some(_) | None => Ok(()),
                }
            })
        });
        failed.await.map(drop)
    }

    async fn refund_issue(&self, due: &Due, kind: &'static str, detail: String) -> Result<(), Error> {
        self.raise(Issue {
            kind,
            order_id: Some(due.order_id),
            payment_id: Some(due.payment_id),
            reference: due.provider_key.clone(),
            detail,
        })
        .await
    }
}

/// The key of a generation.
fn key(first: &str, generation: i32) -> String {
    if generation == 0 { first.to_owned() } else { format!("{first}:{generation}") }
}

/// Why a refund was not made, or not seen to be.
#[derive(Debug, thiserror::Error)]
enum Unmade {
    #[error(transparent)]
    Here(#[from] Error),
    #[error(transparent)]
    Provider(#[from] CallError),
}

/// What became of the provider's word about a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applied {
    Done,
    Alarm,
}

/// Applies what the provider says of a refund; a repeat finds nothing to do.
async fn apply(tx: &mut Tx, id: Uuid, said: &ProviderRefund) -> Result<Applied, Error> {
    let Some(refund) = store::lock(tx, id).await? else { return Ok(Applied::Done) };
    if refund.status != "pending" {
        return contradicted(tx, &refund, said).await;
    }
    if said.amount != refund.amount || said.of.refund_id != Some(id) {
        let detail = format!("{} instead of {}, or of another refund", said.amount, refund.amount);
        return alarm(tx, &refund, "refund_mismatch", &said.reference, detail).await;
    }
    match said.status {
        RefundStatus::Pending => {
            store::name(tx, id, &said.reference).await?;
            Ok(Applied::Done)
        }
        RefundStatus::Failed => {
            fail(tx, &refund, Some(&said.reference)).await?;
            alarm(tx, &refund, "refund_failed", &said.reference, "the money did not arrive".to_owned()).await
        }
        RefundStatus::Succeeded => {
            arrived(tx, &refund, &said.reference).await?;
            Ok(Applied::Done)
        }
    }
}

/// What the provider says of a refund that was over, when it is something else: our books stay as they are.
async fn contradicted(tx: &mut Tx, refund: &Locked, said: &ProviderRefund) -> Result<Applied, Error> {
    let is_ours = refund.provider_ref.as_deref() == Some(said.reference.as_str());
    match (refund.status.as_str(), said.status) {
        ("succeeded", RefundStatus::Succeeded) if !is_ours => {
            let detail = "the same refund was made a second time".to_owned();
            alarm(tx, refund, "refunded_twice", &said.reference, detail).await
        }
        ("succeeded", RefundStatus::Failed) if is_ours => {
            let detail = "the money came back to us although it had arrived: the buyer is still owed it";
            alarm(tx, refund, "refund_failed_late", &said.reference, detail.to_owned()).await
        }
        ("failed", RefundStatus::Succeeded) => {
            let detail = "the money went back although the refund had failed in our books";
            alarm(tx, refund, "refund_made_late", &said.reference, detail.to_owned()).await
        }
        _ => Ok(Applied::Done),
    }
}

async fn arrived(tx: &mut Tx, refund: &Locked, reference: &str) -> Result<(), Error> {
    let mut facts = Facts::new(Caller::Service, now());
    let whose = Whose { payment_id: refund.payment_id, order_id: refund.order_id, user_id: refund.user_id };
    let version = store::succeed(tx, refund.id, reference).await?;
    facts.payment(whose, version, refund.amount, "refunded", None);
    // Money that was paid besides what the order cost is none of the order's.
    if refund.payment_status == Status::Succeeded.as_str() {
        let refunded = refund.order_refunded + refund.amount;
        let how_much = if refunded >= refund.total_amount { HowMuch::All } else { HowMuch::Some };
        match step(&refund.order_status, how_much) {
            Some(to) => {
                store::add_refunded(tx, refund.order_id, refund.amount, Raise::Nothing).await?;
                let id = OrderId::known(refund.order_id);
                if OrderStatus::stored(&refund.order_status).is_unshipped() {
                    take_back(tx, id, &mut facts).await?;
                }
                let version = order_changes::move_to(tx, id, to, Mover::Provider, None).await?;
                facts.moved(refund.order_id, refund.user_id, version, &refund.order_status, to.as_str());
            }
            None => {
                let version = store::add_refunded(tx, refund.order_id, refund.amount, Raise::Version).await?;
                facts.updated(refund.order_id, refund.user_id, version, &["refunded_amount"]);
            }
        }
    }
    record_all(tx, facts.events()).await
}

/// Nobody sends off any more what all the money went back for: those units are cancelled, and can be sold again.
async fn take_back(tx: &mut Tx, id: OrderId, facts: &mut Facts) -> Result<(), Error> {
    let items = orders::items(tx, id).await?;
    let waiting = || items.iter().filter(|item| item.waiting() > 0);
    let goods: Vec<(i64, i32)> = waiting().map(|item| (item.variant_id, item.waiting())).collect();
    let units: Vec<(i32, i32)> = waiting().map(|item| (item.line, item.waiting())).collect();
    let changes = holds::give_back(tx, id, &goods).await?;
    facts.stock(&changes);
    order_changes::cancel_units(tx, id, &units).await?;
    if items.iter().all(|item| item.fulfilled == 0) {
        stock::give_coupon_back(tx, id.get()).await?;
    }
    Ok(())
}

/// How much of an order's money went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HowMuch {
    All,
    Some,
}

/// The step that an order owes when it has come to `status` after all of its money had gone back: money that goes back
/// while goods are on their way waits for where they end.
pub(crate) fn step_owed(status: OrderStatus, refunded_amount: i64, total_amount: i64) -> Option<OrderStatus> {
    let has_ended = matches!(status, OrderStatus::Delivered | OrderStatus::Returned);
    (has_ended && total_amount > 0 && refunded_amount >= total_amount).then_some(OrderStatus::Refunded)
}

/// The step that an order takes when money went back: all of it, or some of it after it was delivered.
fn step(status: &str, how_much: HowMuch) -> Option<OrderStatus> {
    match OrderStatus::stored(status) {
        OrderStatus::Paid
        | OrderStatus::Processing
        | OrderStatus::Cancelled
        | OrderStatus::Expired
        | OrderStatus::PartiallyRefunded => (how_much == HowMuch::All).then_some(OrderStatus::Refunded),
        OrderStatus::Delivered | OrderStatus::Returned => Some(match how_much {
            HowMuch::All => OrderStatus::Refunded,
            HowMuch::Some => OrderStatus::PartiallyRefunded,
        }),
        OrderStatus::PendingPayment
        | OrderStatus::PaymentFailed
        | OrderStatus::Shipped
        | OrderStatus::ReturnRequested
        | OrderStatus::Refunded => None,
    }
}

async fn fail(tx: &mut Tx, refund: &Locked, reference: Option<&str>) -> Result<(), Error> {
    store::fail(tx, refund.id, reference).await?;
    let uncounted: Vec<(i32, i32)> =
        refund.lines.0.iter().map(|&(line, quantity)| (line, -quantity)).collect();
    if !uncounted.is_empty() {
        store::count_units(tx, refund.order_id, &uncounted).await?;
    }
    Ok(())
}

async fn alarm(
    tx: &mut Tx,
    refund: &Locked,
    kind: &'static str,
    reference: &str,
    detail: String,
) -> Result<Applied, Error> {
    let issue = Issue {
        kind,
        order_id: Some(refund.order_id),
        payment_id: Some(refund.payment_id),
        reference: reference.to_owned(),
        detail,
    };
    Ok(if issues::raise(tx, &issue).await? { Applied::Alarm } else { Applied::Done })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_moves_orders_as_far_as_it_went() {
        #[track_caller]
        fn check(status: &str, part: Option<OrderStatus>, all: Option<OrderStatus>) {
            assert_eq!((step(status, HowMuch::Some), step(status, HowMuch::All)), (part, all), "{status}");
        }
        let (refunded, partially) = (Some(OrderStatus::Refunded), Some(OrderStatus::PartiallyRefunded));
        check("paid", None, refunded);
        check("processing", None, refunded);
        check("shipped", None, None);
        check("delivered", partially, refunded);
        check("returned", partially, refunded);
        check("partially_refunded", None, refunded);
        check("cancelled", None, refunded);
        check("expired", None, refunded);
    }
}
