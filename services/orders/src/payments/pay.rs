//! One request to pay, in a task of its own: whoever asked may leave, the attempt goes on.
//!
//! Three transactions with two calls between them. The first writes down what will be asked; the second takes the goods
//! when the money is promised; the third makes the order paid when the money is ours. Whatever happens in between, the
//! workers go on from where the rows stand.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use idempotency::{Claim, Done, Refused, Ticket};
use proto::orders::v1 as pb;
use rls::{Caller, Class, DatabaseError, Receipt, Tx};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::Payments;
use super::apply::Next;
use super::facts::{Facts, Whose};
use super::gate::Asking;
use super::provider::{CallError, NewIntent, With};
use super::settle::{Heard, Step, left};
use super::token::CardToken;
use crate::domain::OrderId;
use crate::domain::order::{Mover, Status as OrderStatus};
use crate::domain::payment::{Method, Status};
use crate::error::{Away, Conflict, Error, Missing, Retry};
use crate::grpc::status;
use crate::handlers::{now, record_all};
use crate::store::order_changes;
use crate::store::payments::{self as store, NewAttempt, Payable, Subject, stock};
use crate::wire;

/// All of a request, with time left to say how it stands (S119: under three seconds).
const REQUEST_DEADLINE: Duration = Duration::from_millis(2_800);
/// How much later the answer is given whatever happens.
const SLACK: Duration = Duration::from_millis(150);
/// What a transaction may take at the end of it.
const RESERVED: Duration = Duration::from_millis(300);
/// With less time than this a call is not begun: a worker makes it.
const CALL_MIN: Duration = Duration::from_millis(100);
/// How long a transaction may take in spite of everything: the row matters more than the answer.
const WRITE_DEADLINE: Duration = Duration::from_secs(4);

/// How much longer goods are kept for an attempt.
const KEPT_FOR_CARD: time::Duration = time::Duration::minutes(5);
/// How long a Pix can be paid; goods are kept as long, and a little more.
const PIX_EXPIRES_AFTER: Duration = Duration::from_secs(1_800);
const KEPT_FOR_PIX: time::Duration = time::Duration::minutes(31);

/// What somebody wants to pay, and how.
pub(crate) struct Wanted {
    /// As its owner saw it.
    pub(crate) order: pb::Order,
    /// What the buyer was shown.
    pub(crate) expected_total: Option<i64>,
    pub(crate) repeat: Option<idempotency::Request>,
    pub(crate) actor: Caller,
}

/// What it is charged to.
pub(crate) enum Instrument {
    Card { token: CardToken, return_url: String },
    Pix,
}

impl Instrument {
    fn method(&self) -> Method {
        match self {
            Self::Card { .. } => Method::Card,
            Self::Pix => Method::Pix,
        }
    }
}

/// What the first transaction came to.
enum Begun {
    /// It was answered before.
    Answered(Box<pb::PayResponse>),
    /// It cannot be done, and a repeat is told the same.
    Refused(Error),
    /// An attempt is written down.
    Made { id: Uuid, key: String, request: Vec<u8>, ticket: Option<Ticket> },
    /// An earlier request with the same key was cut off after it had made this attempt.
    Inherited { id: Uuid, ticket: Option<Ticket> },
}

/// One request to pay under way.
struct Request {
    payments: Payments,
    wanted: Wanted,
    method: Method,
    by: Instant,
    /// The attempt, as soon as it is written down.
    begun: Arc<OnceLock<Uuid>>,
    receipts: Vec<Receipt>,
}

impl Payments {
    /// Pays an order, once however often it is asked.
    ///
    /// # Errors
    /// [`Error::Away`] while the provider fails, before anything is written; [`Error::Declined`]; what stands in the way
    /// of an attempt. What is not known is an answer: a payment that is not settled.
    pub(crate) async fn pay(&self, wanted: Wanted, with: Instrument) -> Result<Done<pb::PayResponse>, Error> {
        let by = Instant::now() + REQUEST_DEADLINE;
        let (method, order) = (with.method(), wanted.order.clone());
        let begun = Arc::new(OnceLock::new());
        let request = Request {
            payments: self.clone(),
            wanted,
            method,
            by,
            begun: Arc::clone(&begun),
            receipts: Vec::new(),
        };
        let task = self.inner.tasks.spawn(request.run(with));
        let Ok(paid) = timeout_at(by + SLACK, task).await else {
            // The task goes on. What is written down will be settled; what is not may be.
            let id = begun.get().ok_or(Error::Database(DatabaseError::CommitUnknown(None)))?;
            self.inner.counts.paid(Status::Unknown);
            return Ok(Done::new(unsettled(*id, method, order), Vec::new(), false));
        };
        paid.unwrap_or_else(|ended| {
            if ended.is_panic() {
                std::panic::resume_unwind(ended.into_panic());
            }
            Err(Error::Database(DatabaseError::Unavailable(sqlx::Error::WorkerCrashed)))
        })
    }

    /// Whether the provider would know this token.
    pub(crate) fn accepts(&self, token: &CardToken) -> bool {
        self.provider().accepts(token)
    }
}

impl Request {
    async fn run(mut self, with: Instrument) -> Result<Done<pb::PayResponse>, Error> {
        let (id, ticket, heard) = match self.begin(with).await? {
            Begun::Answered(reply) => return Ok(Done::new(*reply, self.receipts, true)),
            Begun::Refused(error) => return Err(error),
            Begun::Made { id, key, request, ticket } => {
                let _first = self.begun.set(id);
                failpoints::hit("pay.after_T1").await?;
                failpoints::hit("pay.before_call").await?;
                let heard = self.charge(&key, request).await;
                failpoints::hit("pay.after_call_before_T2").await?;
                (id, ticket, heard)
            }
            Begun::Inherited { id, ticket } => {
                let _first = self.begun.set(id);
                (id, ticket, self.inquire(id).await?)
            }
        };
        match self.settle(id, ticket.as_ref(), heard).await {
            Err(Error::Database(failure)) => {
                // The attempt is written down and will be settled: that much is sure.
                tracing::warn!(payment.id = %id, error = %failure, "a payment is left to the workers");
                self.payments.inner.counts.paid(Status::Unknown);
                let reply = unsettled(id, self.method, self.wanted.order.clone());
                Ok(self.done(reply))
            }
            settled => settled,
        }
    }

    /// The first transaction: the key, the order's lock, and the attempt as it will be asked for.
    async fn begin(&mut self, with: Instrument) -> Result<Begun, Error> {
        let order_id = self.wanted.order.id;
        let (method, expected) = (self.method, self.wanted.expected_total);
        let (repeat, actor) = (self.wanted.repeat.clone(), self.wanted.actor);
        let (id, provider) = (Uuid::now_v7(), self.payments.provider().name());
        let gate = self.payments.inner.gate.clone();
        let begun = self.payments.inner.db.run(&Caller::Service, Class::Write, WRITE_DEADLINE, move |tx| {
            Box::pin(async move {
                let ticket = match &repeat {
                    None => None,
                    Some(request) => match idempotency::claim(tx, request).await? {
                        Claim::Fresh(ticket) => Some(ticket),
                        Claim::Done(stored) => {
                            return Ok(Begun::Answered(Box::new(stored.replay(tx)?)));
                        }
                        Claim::InFlight => return Err(Refused::InFlight.into()),
                        Claim::OtherRequest => return Err(Refused::OtherRequest.into()),
                    },
                };
                let payable = store::lock_payable(tx, order_id).await?;
                let payable = payable.ok_or(Error::NotFound(Missing::Order))?;
                if let (Some(ticket), Some(latest)) = (&ticket, payable.latest)
                    && ticket.attempt() > 1
                {
                    return Ok(Begun::Inherited { id: latest, ticket: Some(ticket.clone()) });
                }
                if let Some(conflict) = obstacle(&payable, expected) {
                    let refused = || Error::Conflict(conflict);
                    // What passes by itself is not told again to a repeat: nothing is kept of it.
                    let Some(ticket) = ticket.filter(|_| conflict != Conflict::PaymentInFlight) else {
                        return Err(refused());
                    };
                    let _overtaken = ticket.refuse(tx, &status(refused(), actor)).await?;
                    return Ok(Begun::Refused(refused()));
                }
                // What was begun or answered before is told even now.
                gate.check().map_err(|open| {
                    tracing::info!(error = %open, "a request to pay was turned away");
                    Error::Away(Away::Payments)
                })?;
                let mut facts = Facts::new(actor, now());
                prepare(tx, &payable, &mut facts).await?;
                let attempt = payable.attempts + 1;
                let request = describe(id, &with, &payable, attempt);
                let new = NewAttempt {
                    id,
                    order_id,
                    user_id: payable.order.user_id,
                    attempt,
                    provider,
                    provider_key: format!("mc:{order_id}:{attempt}:create"),
                    method,
                    amount: payable.order.total_amount,
                    currency: payable.order.currency.clone(),
                    request,
                    keep_goods: match method {
                        Method::Card => KEPT_FOR_CARD,
                        Method::Pix => KEPT_FOR_PIX,
                    },
                };
                // Whoever waited for the lock may have looked before the other one's attempt was there.
                let made = store::insert(tx, &new).await?;
                made.ok_or(Error::Conflict(Conflict::PaymentInFlight))?;
                let whose = Whose { payment_id: id, order_id, user_id: new.user_id };
                facts.payment(whose, 1, new.amount, Status::Created.event(), None);
                record_all(tx, facts.events()).await?;
                Ok(Begun::Made { id, key: new.provider_key, request: new.request, ticket })
            })
        });
        let begun = begun.await?;
        self.receipts.extend(begun.receipts);
        Ok(begun.value)
    }

    /// The call: a card is authorised, a code is made.
    async fn charge(&self, key: &str, request: Vec<u8>) -> Heard {
        let within = left(self.by - RESERVED);
        let gate = &self.payments.inner.gate;
        let answer =
            gate.ask(Asking::Buyer, |provider| provider.create_and_confirm(key, request, within)).await;
        match answer {
            Ok(intent) => Heard::Intent(intent),
            Err(CallError::Refused { code }) => Heard::Refused(code),
            Err(error) => {
                tracing::info!(key, %error, "it is not known what became of a payment");
                Heard::Doubt
            }
        }
    }

    async fn inquire(&self, id: Uuid) -> Result<Heard, Error> {
        let due = self.payments.inner.db.run(&Caller::Service, Class::Read, WRITE_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(store::take_one(tx, id).await?) })
        });
        let due = due.await?.value.ok_or(Error::NotFound(Missing::Payment))?;
        if due.status.is_final() {
            return Ok(Heard::Doubt);
        }
        let left = self.by.saturating_duration_since(Instant::now()).saturating_sub(RESERVED);
        let heard = tokio::time::timeout(left, self.payments.inquire(&due, Asking::Buyer)).await;
        Ok(heard.ok().and_then(Result::ok).unwrap_or(Heard::Doubt))
    }

    /// The other transactions: what was heard is applied, and what follows is done, while there is time.
    async fn settle(
        &mut self,
        id: Uuid,
        ticket: Option<&Ticket>,
        heard: Heard,
    ) -> Result<Done<pb::PayResponse>, Error> {
        let mut heard = heard;
        loop {
            let news = heard;
            let step = match self.step(id, ticket, news).await? {
                Stepped::Answered(answer) => return self.answer(answer),
                Stepped::Open(step) => step,
            };
            self.payments.follow(&step);
            failpoints::hit("pay.after_T2_before_capture").await?;
            let by = self.by - RESERVED;
            let answer = if left(by) < CALL_MIN {
                Err(CallError::Puzzling("no time is left"))
            } else if step.next == Next::Capture {
                self.payments.capture(&step.subject, Asking::Buyer, by, 0).await
            } else {
                self.payments.void(&step.subject, Asking::Buyer, by, 0).await
            };
            failpoints::hit("pay.after_capture_before_T3").await?;
            heard = match answer {
                Ok(intent) => Heard::Intent(intent),
                Err(error) => {
                    tracing::info!(payment.id = %id, %error, "a payment is left to the workers");
                    return self.close(id, ticket).await;
                }
            };
        }
    }

    async fn step(&mut self, id: Uuid, ticket: Option<&Ticket>, heard: Heard) -> Result<Stepped, Error> {
        let (actor, order) = (self.wanted.actor, self.wanted.order.clone());
        let (ticket, receipts) = (ticket.cloned(), self.receipts.clone());
        let stepped = self.payments.inner.db.run(&Caller::Service, Class::Write, WRITE_DEADLINE, move |tx| {
            Box::pin(async move {
                let step = Payments::step(tx, id, &heard, actor).await?;
                let goes_on = match step.next {
                    Next::Capture | Next::Void => true,
                    Next::Nothing | Next::Refund | Next::Alarm => false,
                };
                if goes_on {
                    return Ok((step, None));
                }
                let answer = keep(tx, &step.subject, order, ticket.as_ref(), receipts, actor).await?;
                Ok::<_, Error>((step, Some(answer)))
            })
        });
        let stepped = stepped.await?;
        self.receipts.extend(stepped.receipts);
        let (step, answer) = stepped.value;
        let Some(answer) = answer else { return Ok(Stepped::Open(step)) };
        self.payments.follow(&step);
        self.payments.inner.counts.paid(step.subject.payment.status);
        failpoints::hit("pay.after_T3").await?;
        Ok(Stepped::Answered(answer))
    }

    /// The answer as things stand: the workers go on.
    async fn close(&mut self, id: Uuid, ticket: Option<&Ticket>) -> Result<Done<pb::PayResponse>, Error> {
        match self.step(id, ticket, Heard::Doubt).await? {
            Stepped::Answered(answer) => self.answer(answer),
            Stepped::Open(_) => unreachable!("doubt leads to nothing further"),
        }
    }

    /// A refusal too says what became stale: the order may be another one than the buyer has seen.
    fn answer(
        &mut self,
        answer: Result<Box<pb::PayResponse>, Error>,
    ) -> Result<Done<pb::PayResponse>, Error> {
        match answer {
            Ok(reply) => Ok(self.done(*reply)),
            Err(Error::Declined { code, retryable, .. }) => {
                Err(Error::Declined { code, retryable, receipts: std::mem::take(&mut self.receipts) })
            }
            Err(other) => Err(other),
        }
    }

    fn done(&mut self, reply: pb::PayResponse) -> Done<pb::PayResponse> {
        Done::new(reply, std::mem::take(&mut self.receipts), false)
    }
}

/// The answer when the database does not even say how it stands.
fn unsettled(id: Uuid, method: Method, order: pb::Order) -> pb::PayResponse {
    let payment = pb::Payment {
        id: id.to_string(),
        order_id: order.id,
        method: method.as_str().to_owned(),
        status: Status::Unknown.as_str().to_owned(),
        amount: order.total_amount,
        currency: order.currency.clone(),
        ..pb::Payment::default()
    };
    pb::PayResponse { payment: Some(payment), order: Some(order), receipts: Vec::new() }
}

#[expect(clippy::large_enum_variant, reason = "one at a time, on its way from one step to the next")]
enum Stepped {
    Answered(Result<Box<pb::PayResponse>, Error>),
    Open(Step),
}

/// The request to the provider, as it is kept.
fn describe(id: Uuid, with: &Instrument, payable: &Payable, attempt: i32) -> Vec<u8> {
    let with = match with {
        Instrument::Card { token, return_url } => With::Card { token, return_url },
        Instrument::Pix => With::Pix { expires_after: PIX_EXPIRES_AFTER },
    };
    let new = NewIntent {
        order_id: payable.order.id,
        payment_id: id,
        attempt,
        amount: payable.order.total_amount,
        currency: &payable.order.currency,
        with,
    };
    new.describe()
}

/// What stands in the way of paying a locked order now.
fn obstacle(payable: &Payable, expected_total: Option<i64>) -> Option<Conflict> {
    match OrderStatus::stored(&payable.order.status) {
        OrderStatus::PendingPayment | OrderStatus::PaymentFailed => {}
        OrderStatus::Expired => return Some(Conflict::CheckoutExpired),
        OrderStatus::Paid
        | OrderStatus::Processing
        | OrderStatus::Shipped
        | OrderStatus::Delivered
        | OrderStatus::Cancelled
        | OrderStatus::ReturnRequested
        | OrderStatus::Returned
        | OrderStatus::Refunded
        | OrderStatus::PartiallyRefunded => return Some(Conflict::IllegalTransition),
    }
    if payable.in_flight {
        return Some(Conflict::PaymentInFlight);
    }
    let is_other = expected_total.is_some_and(|expected| expected != payable.order.total_amount);
    is_other.then_some(Conflict::PriceChanged)
}

/// A failed order waits for payment again, with its goods.
async fn prepare(tx: &mut Tx, payable: &Payable, facts: &mut Facts) -> Result<(), Error> {
    let order = &payable.order;
    if order.stock_gone {
        let changes = stock::reserve_again(tx, order.id, KEPT_FOR_CARD).await?;
        facts.stock(&changes.ok_or(Error::Conflict(Conflict::OutOfStock))?);
    }
    if order.status == OrderStatus::PaymentFailed.as_str() {
        let (id, to) = (OrderId::known(order.id), OrderStatus::PendingPayment);
        let version = order_changes::move_to(tx, id, to, Mover::Customer, None).await?;
        facts.moved(order.id, order.user_id, version, &order.status, to.as_str());
    }
    Ok(())
}

/// The answer, and the answer kept for repeats.
async fn keep(
    tx: &mut Tx,
    subject: &Subject,
    mut order: pb::Order,
    ticket: Option<&Ticket>,
    receipts: Vec<Receipt>,
    actor: Caller,
) -> Result<Result<Box<pb::PayResponse>, Error>, Error> {
    let payment = &subject.payment;
    if matches!(payment.status, Status::Failed | Status::Canceled) {
        let declined = || Error::Declined {
            code: payment.failure_code.clone().unwrap_or_default(),
            retryable: if payment.retryable { Retry::Possible } else { Retry::Pointless },
            receipts: Vec::new(),
        };
        if let Some(ticket) = ticket {
            let _overtaken = ticket.refuse(tx, &status(declined(), actor)).await?;
        }
        return Ok(Err(declined()));
    }
    order.status.clone_from(&subject.order.status);
    order.version = subject.order.version;
    let reply = pb::PayResponse {
        payment: Some(wire::payment::of_subject(subject)),
        order: Some(order),
        receipts: receipts.into_iter().map(wire::payment::receipt).collect(),
    };
    if let Some(ticket) = ticket {
        let _overtaken = ticket.finish(tx, &reply).await?;
    }
    Ok(Ok(Box::new(reply)))
}
