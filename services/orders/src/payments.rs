//! Money: one port, two providers, and attempts that charge exactly once.
//!
//! An attempt is written down before the provider is asked, under a key that is always the same, so that it can be asked
//! again without charging again. Whatever the provider says goes through [`apply`], under the order's lock, whoever hears
//! it: the request, an event, or a worker. What proves nothing is `unknown`, never `failed`; the workers drive every
//! attempt that is not settled, and a second one is not made before.

mod api;
pub(crate) mod apply;
mod breaker;
mod counts;
mod events;
pub(crate) mod facts;
mod gate;
mod inquiry;
pub(crate) mod pay;
pub(crate) mod provider;
mod reconciliation;
pub(crate) mod refunds;
mod sandbox;
mod settle;
mod signature;
mod stripe;
pub(crate) mod token;
mod workers;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rls::{Caller, Class, Database, DatabaseError, Tx};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::api::{Api, ApiError};
use self::counts::Counts;
use self::gate::{Asking, Gate};
use self::provider::{CallError, Intent, PaymentProvider};
use self::sandbox::Sandbox;
use self::settle::Heard;
use self::stripe::Stripe;
use crate::config::{PaymentsConfig, Provider};
use crate::domain::OrderId;
use crate::domain::payment::Status;
use crate::error::{Away, Conflict, Error};
use crate::handlers::Shared;
use crate::store::payments as store;
use crate::timelines::Timelines;

/// How long the provider may take for one answer.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_millis(2_500);

/// Everything that has to do with money. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Payments {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Database,
    gate: Gate,
    counts: Counts,
    timelines: Timelines,
    compare_every: Duration,
    /// Requests to pay that go on after their caller has left.
    tasks: TaskTracker,
    /// An event of the provider's was kept.
    events_due: Notify,
    /// A refund was promised.
    refunds_due: Notify,
}

impl Payments {
    /// Payments by the configured provider.
    ///
    /// # Errors
    /// When no client of it can be made.
    pub(crate) fn new(config: &PaymentsConfig, db: Database, timelines: Timelines) -> Result<Self, ApiError> {
        let api = Api::new(&config.url, &config.secret, config.webhook_secrets.clone())?;
        let provider: Arc<dyn PaymentProvider> = match config.provider {
            Provider::Stripe => Arc::new(Stripe(api)),
            Provider::Sandbox => Arc::new(Sandbox(api)),
        };
        let inner = Inner {
            db,
            gate: Gate::new(provider),
            counts: Counts::default(),
            timelines,
            compare_every: config.compare_every,
            tasks: TaskTracker::new(),
            events_due: Notify::new(),
            refunds_due: Notify::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Appends the metrics of payments in the Prometheus text format.
    pub(crate) fn prometheus(&self, out: &mut String) {
        self.inner.counts.prometheus(out);
        let state = self.inner.gate.breaker().gauge();
        let _ = writeln!(out, "# HELP circuit_breaker_state 0 closed, 1 half open, 2 open.");
        let _ = writeln!(out, "# TYPE circuit_breaker_state gauge");
        let _ = writeln!(out, "circuit_breaker_state{{name=\"payments\"}} {state}");
    }

    fn provider(&self) -> &dyn PaymentProvider {
        self.inner.gate.provider()
    }
}

/// An attempt that waited for its buyer, and that the provider has given up. Our books do not say so yet.
#[derive(Clone, Debug)]
pub(crate) struct GivenUp {
    payment_id: Uuid,
    intent: Intent,
}

impl GivenUp {
    /// Writes it down, in the transaction of what it was given up for.
    ///
    /// # Errors
    /// `payment_in_flight` when money may come all the same.
    pub(crate) async fn apply(self, tx: &mut Tx) -> Result<(), Error> {
        let heard = Heard::Intent(self.intent);
        let step = Payments::step(tx, self.payment_id, &heard, Caller::Service).await?;
        if step.subject.payment.status.is_final() {
            Ok(())
        } else {
            Err(Error::Conflict(Conflict::PaymentInFlight))
        }
    }
}

/// Gives up an attempt that waits for its buyer, so that nobody is charged for what is about to be cancelled: at the
/// provider only, [`GivenUp::apply`] writes it down. `None` when there is none, or one that is over.
///
/// # Errors
/// `payment_in_flight` when money may come by itself or has come just now, [`Away::Payments`] when the provider does not
/// answer.
pub(crate) async fn give_up_waiting(
    shared: &Shared,
    order: OrderId,
    within: Duration,
) -> Result<Option<GivenUp>, Error> {
    let payments = &shared.payments;
    let id = order.get();
    let live = shared.db.run(&Caller::Service, Class::Read, within, move |tx| {
        Box::pin(async move {
            match store::live(tx, id).await? {
                Some(payment) => Ok::<_, DatabaseError>(store::take_one(tx, payment).await?),
                None => Ok(None),
            }
        })
    });
    let Some(live) = live.await?.value else { return Ok(None) };
    let (Status::RequiresAction, Some(reference)) = (live.status, &live.provider_ref) else {
        return Err(Error::Conflict(Conflict::PaymentInFlight));
    };
    let by = Instant::now() + within.min(CALL_DEADLINE);
    let given_up = payments.cancel(id, live.attempt, reference, Asking::Buyer, by, live.checks).await;
    let intent = given_up.map_err(|error| match error {
        CallError::Refused { .. } => Error::Conflict(Conflict::PaymentInFlight),
        CallError::InUse
        | CallError::Replayed
        | CallError::Limited { .. }
        | CallError::Unclear(_)
        | CallError::Puzzling(_)
        | CallError::Open(_) => Error::Away(Away::Payments),
    })?;
    if matches!(intent.status, Status::Failed | Status::Canceled) {
        return Ok(Some(GivenUp { payment_id: live.id, intent }));
    }
    // The buyer was quicker.
    let status = payments.carry_on(live.id, Heard::Intent(intent), live.checks).await?;
    if status.is_final() { Ok(None) } else { Err(Error::Conflict(Conflict::PaymentInFlight)) }
}

/// Refunds of an order were promised: they are asked for at once instead of a moment later.
pub(crate) fn hurry_refunds(shared: &Shared) {
    shared.payments.inner.refunds_due.notify_one();
}
