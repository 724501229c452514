//! What the provider's word about an attempt means for the order: one function for the request, for events and for the
//! workers, under the order's lock, so that whoever comes second finds nothing to do.

use rls::Tx;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::facts::{Facts, Whose};
use super::provider::{Intent, NextAction};
use crate::domain::OrderId;
use crate::domain::order::{Mover, Status as OrderStatus};
use crate::domain::payment::{Failure, Status};
use crate::error::{Conflict, Error};
use crate::store::order_changes;
use crate::store::payments::issues::{self, Issue};
use crate::store::payments::{self as store, Advance, Entry, Subject, stock};
use crate::store::refunds;

/// How long goods are kept while a buyer is at the bank.
const AT_THE_BANK: Duration = Duration::minutes(15);
/// Pix is paid in another app: who paid in the last second is told so a little later.
const PIX_GRACE: Duration = Duration::minutes(1);
/// How long stock promised once more is kept: it is taken in the same transaction.
const A_MOMENT: Duration = Duration::minutes(1);

/// What has to be asked of the provider next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, until there is news.
    Nothing,
    /// Take the authorised money: the goods are taken.
    Capture,
    /// Give up the authorisation: there is nothing to sell, or nobody to sell it to.
    Void,
    /// Give money back that must not be ours; the refund is written down.
    Refund,
    /// A person has to look.
    Alarm,
}

/// Applies what the provider says to a locked payment and its order. The events are recorded by the caller.
///
/// # Errors
/// When the database fails, or the order's goods vanished in this very moment; asking again helps.
pub(crate) async fn apply(
    tx: &mut Tx,
    subject: &mut Subject,
    news: &Intent,
    facts: &mut Facts,
) -> Result<Next, Error> {
    if let Some(detail) = mismatch(subject, news) {
        return alarm(tx, subject, "intent_mismatch", &news.reference, detail).await;
    }
    // Whoever goes on with it has to name it, whether or not it is written down.
    subject.payment.provider_ref = Some(news.reference.clone());
    let had = subject.payment.status;
    if had.is_final() {
        return match (had, news.status) {
            (Status::Failed | Status::Canceled, Status::Succeeded) => {
                late_money(tx, subject, news, facts).await
            }
            (Status::Failed | Status::Canceled, Status::RequiresCapture) => Ok(Next::Void),
            _ => Ok(Next::Nothing),
        };
    }
    if had == Status::RequiresCapture && news.status == Status::RequiresCapture {
        return Ok(Next::Capture);
    }
    if news.status.rank() <= had.rank() {
        return Ok(Next::Nothing);
    }
    match news.status {
        Status::Processing => {
            advance(tx, subject, news, facts, Vec::new()).await?;
            Ok(Next::Nothing)
        }
        Status::RequiresAction => {
            advance(tx, subject, news, facts, Vec::new()).await?;
            let until = kept_until(news, facts.now());
            store::keep_goods(tx, subject.order.id, until).await?;
            Ok(Next::Nothing)
        }
        Status::RequiresCapture => authorized(tx, subject, news, facts).await,
        Status::Succeeded => charged(tx, subject, news, facts).await,
        Status::Failed | Status::Canceled => came_to_nothing(tx, subject, news, facts).await,
        // The provider has no such states.
        Status::Created | Status::Unknown => Ok(Next::Nothing),
    }
}

/// Nothing is proven: the attempt is the workers' now.
pub(crate) async fn doubt(tx: &mut Tx, subject: &mut Subject, facts: &mut Facts) -> Result<(), Error> {
    if subject.payment.status != Status::Created {
        return Ok(());
    }
    let to = Advance {
        status: Status::Unknown,
        provider_ref: None,
        captured_amount: 0,
        failure: None,
        next_action: None,
        check_after: Duration::seconds(1),
        entries: Vec::new(),
    };
    let version = store::advance(tx, subject.payment.id, &to).await?;
    subject.payment.status = Status::Unknown;
    subject.payment.version = version;
    facts.payment(whose(subject), version, subject.payment.amount, Status::Unknown.event(), None);
    Ok(())
}

/// The provider did nothing, and says why.
pub(crate) async fn refused(
    tx: &mut Tx,
    subject: &mut Subject,
    code: &str,
    facts: &mut Facts,
) -> Result<(), Error> {
    if subject.payment.status.rank() > Status::Unknown.rank() {
        return Ok(());
    }
    end(tx, subject, Status::Failed, None, &Failure { code: code.to_owned(), retryable: true }, facts).await
}

/// Raises an issue about a payment.
pub(crate) async fn alarm(
    tx: &mut Tx,
    subject: &Subject,
    kind: &'static str,
    reference: &str,
    detail: String,
) -> Result<Next, Error> {
    let issue = Issue {
        kind,
        order_id: Some(subject.order.id),
        payment_id: Some(subject.payment.id),
        reference: reference.to_owned(),
        detail,
    };
    let raised = issues::raise(tx, &issue).await?;
    // It is asked for again, seldom: somebody may put it right at the provider.
    store::put_off(tx, subject.payment.id, Duration::minutes(10)).await?;
    Ok(if raised { Next::Alarm } else { Next::Nothing })
}

/// What the intent is about, compared with what was asked for; `None` when it is the same.
fn mismatch(subject: &Subject, news: &Intent) -> Option<String> {
    let payment = &subject.payment;
    let asked = (payment.amount, payment.currency.as_str());
    if (news.amount, news.currency.as_str()) != asked {
        let (amount, currency) = asked;
        return Some(format!("{} {} instead of {amount} {currency}", news.amount, news.currency));
    }
    if news.status == Status::Succeeded && news.received != payment.amount {
        return Some(format!("{} taken instead of {}", news.received, payment.amount));
    }
    let of = (news.of.order_id, news.of.payment_id, news.of.attempt);
    if of != (Some(subject.order.id), Some(payment.id), Some(payment.attempt)) {
        return Some("it names another order, payment or attempt".to_owned());
    }
    let known = payment.provider_ref.as_deref();
    (known.is_some_and(|known| known != news.reference)).then(|| "it is another intent".to_owned())
}

/// Until when goods are kept for a buyer who has something to do.
fn kept_until(news: &Intent, now: OffsetDateTime) -> OffsetDateTime {
    let at_the_bank = now + AT_THE_BANK;
    match &news.next_action {
        Some(NextAction::Pix { expires_at, .. }) => {
            OffsetDateTime::from_unix_timestamp(*expires_at).map_or(at_the_bank, |at| at + PIX_GRACE)
        }
        Some(NextAction::Redirect { .. }) | None => at_the_bank,
    }
}

/// The money is promised: the goods are taken, then it is captured. Nobody is charged without goods.
async fn authorized(
    tx: &mut Tx,
    subject: &mut Subject,
    news: &Intent,
    facts: &mut Facts,
) -> Result<Next, Error> {
    if !take_goods(tx, subject, facts).await? {
        return Ok(Next::Void);
    }
    let entry = Entry { kind: "authorize", amount: news.amount, reference: &news.reference };
    advance(tx, subject, news, facts, vec![entry]).await?;
    Ok(Next::Capture)
}

/// The money is ours: the order is paid, or the money goes back.
async fn charged(
    tx: &mut Tx,
    subject: &mut Subject,
    news: &Intent,
    facts: &mut Facts,
) -> Result<Next, Error> {
    let taken = subject.payment.status == Status::RequiresCapture || take_goods(tx, subject, facts).await?;
    let entry = Entry { kind: "capture", amount: news.received, reference: &news.reference };
    advance(tx, subject, news, facts, vec![entry]).await?;
    if taken {
        move_to(tx, subject, OrderStatus::Paid, facts).await?;
        return Ok(Next::Nothing);
    }
    if OrderStatus::stored(&subject.order.status).is_unpaid() {
        give_up_order(tx, subject, facts).await?;
    }
    promise_back(tx, subject, "paid too late").await
}

/// No money came of it.
async fn came_to_nothing(
    tx: &mut Tx,
    subject: &mut Subject,
    news: &Intent,
    facts: &mut Facts,
) -> Result<Next, Error> {
    let failure = match (&news.failure, news.status) {
        (Some(failure), _) => failure.clone(),
        (None, Status::Canceled) => Failure { code: "canceled".to_owned(), retryable: true },
        (None, _) => Failure::declined(""),
    };
    end(tx, subject, news.status, Some(&news.reference), &failure, facts).await?;
    Ok(Next::Nothing)
}

async fn end(
    tx: &mut Tx,
    subject: &mut Subject,
    status: Status,
    reference: Option<&str>,
    failure: &Failure,
    facts: &mut Facts,
) -> Result<(), Error> {
    let was_authorized = subject.payment.status == Status::RequiresCapture;
    let entries = match reference {
        Some(reference) if was_authorized => {
            vec![Entry { kind: "void", amount: subject.payment.amount, reference }]
        }
        _ => Vec::new(),
    };
    let to = Advance {
        status,
        provider_ref: reference,
        captured_amount: 0,
        failure: Some(failure),
        next_action: None,
        check_after: Duration::ZERO,
        entries,
    };
    write(tx, subject, &to, facts).await?;
    if was_authorized {
        // The goods were taken for this money.
        let changes = stock::give_back(tx, subject.order.id).await?;
        facts.stock(&changes);
    }
    if OrderStatus::stored(&subject.order.status).is_unpaid() {
        if was_authorized || subject.order.stock_gone {
            give_up_order(tx, subject, facts).await?;
        } else if subject.order.status == OrderStatus::PendingPayment.as_str() {
            move_to(tx, subject, OrderStatus::PaymentFailed, facts).await?;
        }
    }
    Ok(())
}

/// Money for an attempt that was given up: for the order, if that can still be had; else it goes back.
async fn late_money(
    tx: &mut Tx,
    subject: &mut Subject,
    news: &Intent,
    facts: &mut Facts,
) -> Result<Next, Error> {
    if subject.payment.captured_amount > 0 {
        return Ok(Next::Nothing);
    }
    if !store::has_another(tx, subject.order.id, subject.payment.id).await? {
        return charged(tx, subject, news, facts).await;
    }
    // Another attempt has the order, or may have it yet: this money has to go back, whatever becomes of that one.
    let payment = &mut subject.payment;
    payment.version = store::note_capture(tx, payment.id, news.received, &news.reference).await?;
    payment.captured_amount = news.received;
    let (version, amount) = (payment.version, payment.captured_amount);
    facts.payment(whose(subject), version, amount, Status::Succeeded.event(), None);
    let detail =
        "an attempt that was given up was paid after another one was made; it is refunded".to_owned();
    let raised = alarm(tx, subject, "paid_twice", &news.reference, detail).await?;
    promise_back(tx, subject, "paid twice").await?;
    Ok(if raised == Next::Alarm { Next::Alarm } else { Next::Refund })
}

/// Takes the order's goods, if it may still have them: what expired meanwhile is promised once more.
async fn take_goods(tx: &mut Tx, subject: &mut Subject, facts: &mut Facts) -> Result<bool, Error> {
    let order = &subject.order;
    let status = OrderStatus::stored(&order.status);
    if !status.is_unpaid() && status != OrderStatus::Expired {
        return Ok(false);
    }
    if order.stock_gone || status == OrderStatus::Expired {
        let Some(changes) = stock::reserve_again(tx, order.id, A_MOMENT).await? else { return Ok(false) };
        facts.stock(&changes);
    }
    // Its price holds only with the coupon, which was given back when the order expired.
    if status == OrderStatus::Expired && !stock::redeem_again(tx, order.id).await? {
        let changes = stock::release(tx, order.id).await?;
        facts.stock(&changes);
        return Ok(false);
    }
    // What was seen under the lock may be a moment old; whoever looks next sees what is.
    let taken = stock::take(tx, order.id).await?.ok_or(Error::Conflict(Conflict::StockChanged))?;
    facts.stock(&taken);
    Ok(true)
}

/// Ends an order that nobody can fulfil any more.
async fn give_up_order(tx: &mut Tx, subject: &mut Subject, facts: &mut Facts) -> Result<(), Error> {
    let changes = stock::release(tx, subject.order.id).await?;
    facts.stock(&changes);
    stock::give_coupon_back(tx, subject.order.id).await?;
    move_to(tx, subject, OrderStatus::Cancelled, facts).await
}

async fn promise_back(tx: &mut Tx, subject: &Subject, reason: &str) -> Result<Next, Error> {
    let (order, payment) = (&subject.order, &subject.payment);
    let key = format!("mc:{}:{}:refund:auto", order.id, payment.attempt);
    refunds::insert_auto(tx, Uuid::now_v7(), payment.id, &key, reason).await?;
    Ok(Next::Refund)
}

async fn advance(
    tx: &mut Tx,
    subject: &mut Subject,
    news: &Intent,
    facts: &mut Facts,
    entries: Vec<Entry<'_>>,
) -> Result<(), Error> {
    let next_action = news
        .next_action
        .as_ref()
        .filter(|_| news.status == Status::RequiresAction)
        .map(|action| serde_json::to_value(action).expect("an action of texts and numbers is JSON"));
    let to = Advance {
        status: news.status,
        provider_ref: Some(&news.reference),
        captured_amount: news.received,
        failure: None,
        next_action,
        check_after: Duration::seconds(5),
        entries,
    };
    write(tx, subject, &to, facts).await
}

async fn write(tx: &mut Tx, subject: &mut Subject, to: &Advance<'_>, facts: &mut Facts) -> Result<(), Error> {
    let version = store::advance(tx, subject.payment.id, to).await?;
    let payment = &mut subject.payment;
    payment.status = to.status;
    payment.version = version;
    payment.captured_amount = to.captured_amount;
    payment.failure_code = to.failure.map(|failure| failure.code.clone());
    payment.retryable = to.failure.is_some_and(|failure| failure.retryable);
    payment.next_action = to.next_action.clone();
    let (amount, code) = (payment.amount, payment.failure_code.clone());
    facts.payment(whose(subject), version, amount, to.status.event(), code.as_deref());
    Ok(())
}

async fn move_to(
    tx: &mut Tx,
    subject: &mut Subject,
    to: OrderStatus,
    facts: &mut Facts,
) -> Result<(), Error> {
    let order = &mut subject.order;
    let version = order_changes::move_to(tx, OrderId::known(order.id), to, Mover::Provider, None).await?;
    facts.moved(order.id, order.user_id, version, &order.status, to.as_str());
    order.version = version;
    order.status = to.as_str().to_owned();
    Ok(())
}

fn whose(subject: &Subject) -> Whose {
    Whose { payment_id: subject.payment.id, order_id: subject.order.id, user_id: subject.order.user_id }
}
