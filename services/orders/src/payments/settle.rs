//! Carries an attempt on until the provider has nothing more to do for it: apply what it says, do what follows, once
//! more.

use std::time::Duration;

use rls::{Caller, Class, Committed, Tx};
use tokio::time::Instant;
use uuid::Uuid;

use super::apply::{self, Next};
use super::facts::Facts;
use super::gate::Asking;
use super::provider::{CallError, Intent};
use super::{CALL_DEADLINE, Payments};
use crate::domain::OrderId;
use crate::domain::payment::Status;
use crate::error::{Away, Error, Missing};
use crate::handlers::{now, record_all};
use crate::store::payments::{self as store, Subject};

/// How long a transaction of a worker may take.
pub(crate) const WORK_DEADLINE: Duration = Duration::from_secs(5);
/// Authorise, capture, and one more for what happens meanwhile.
const STEPS_MAX: usize = 5;

/// One step of an attempt, committed.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) subject: Subject,
    pub(crate) next: Next,
}

/// What is heard of an attempt.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way from one step to the next")]
pub(crate) enum Heard {
    /// What the provider has.
    Intent(Intent),
    /// The provider did nothing, and says why.
    Refused(String),
    /// Nothing that proves anything.
    Doubt,
}

impl Payments {
    /// Applies what is heard, in the caller's transaction. The events are recorded.
    pub(crate) async fn step(tx: &mut Tx, id: Uuid, heard: &Heard, actor: Caller) -> Result<Step, Error> {
        let mut subject = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Payment))?;
        let mut facts = Facts::new(actor, now());
        let next = match heard {
            Heard::Intent(intent) => apply::apply(tx, &mut subject, intent, &mut facts).await?,
            Heard::Refused(code) => {
                apply::refused(tx, &mut subject, code, &mut facts).await?;
                Next::Nothing
            }
            Heard::Doubt => {
                apply::doubt(tx, &mut subject, &mut facts).await?;
                Next::Nothing
            }
        };
        record_all(tx, facts.events()).await?;
        Ok(Step { subject, next })
    }

    /// What follows from a step outside of any transaction, but for calls.
    pub(crate) fn follow(&self, step: &Step) {
        self.inner.timelines.changed(OrderId::known(step.subject.order.id));
        match step.next {
            Next::Nothing | Next::Capture | Next::Void => {}
            Next::Refund => self.inner.refunds_due.notify_one(),
            Next::Alarm => {
                self.inner.counts.issue();
                self.inner.refunds_due.notify_one();
                tracing::error!(
                    order.id = step.subject.order.id,
                    payment.id = %step.subject.payment.id,
                    "a payment is not as it should be: a person has to look at it"
                );
            }
        }
    }

    /// Applies what a worker heard of an attempt, and does what follows. Answers where it stands then.
    ///
    /// # Errors
    /// When the database fails. What the provider leaves open is not an error: it is asked again. But of an attempt that
    /// was over it is: nobody else asks.
    pub(crate) async fn carry_on(&self, id: Uuid, heard: Heard, checks: i32) -> Result<Status, Error> {
        let mut heard = heard;
        let mut status = Status::Unknown;
        for _ in 0..STEPS_MAX {
            let news = heard;
            let work: Committed<Step> = self
                .inner
                .db
                .run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
                    Box::pin(async move { Self::step(tx, id, &news, Caller::Service).await })
                })
                .await?;
            let step = work.value;
            self.follow(&step);
            status = step.subject.payment.status;
            let by = Instant::now() + 2 * CALL_DEADLINE;
            let answered = match step.next {
                Next::Nothing | Next::Refund | Next::Alarm => return Ok(status),
                Next::Capture => self.capture(&step.subject, Asking::Worker, by, checks).await,
                Next::Void => {
                    // Nobody counts how often an attempt that is over is asked about: the minute makes another key, should
                    // the first one be burned.
                    let checks = if status.is_final() { minute() } else { checks };
                    self.void(&step.subject, Asking::Worker, by, checks).await
                }
            };
            match answered {
                Ok(intent) => heard = Heard::Intent(intent),
                // No worker looks after an attempt that is over: whoever tells of it has to tell again.
                Err(error) if status.is_final() => {
                    tracing::warn!(payment.id = %id, %error, "an authorisation was not given up yet");
                    return Err(Error::Away(Away::Payments));
                }
                Err(error) => {
                    tracing::info!(payment.id = %id, %error, "a payment is not settled yet");
                    return Ok(status);
                }
            }
        }
        Ok(status)
    }

    /// Takes the authorised money.
    ///
    /// # Errors
    /// When the provider does not prove that it did. Asking again does no harm: an intent is captured once.
    pub(crate) async fn capture(
        &self,
        subject: &Subject,
        asking: Asking,
        by: Instant,
        checks: i32,
    ) -> Result<Intent, CallError> {
        let (order, payment) = (&subject.order, &subject.payment);
        let reference = payment.provider_ref.as_deref().ok_or(CallError::Puzzling("no intent to capture"))?;
        let key = format!("mc:{}:{}:capture", order.id, payment.attempt);
        let gate = &self.inner.gate;
        let take = |key: String| async move {
            gate.ask(asking, |provider| provider.capture(&key, reference, payment.amount, left(by))).await
        };
        let answer = take(key.clone()).await;
        self.certain(answer, reference, asking, by, Status::RequiresCapture, checks, |checks| {
            take(format!("{key}:{checks}"))
        })
        .await
    }

    /// Gives an intent up.
    ///
    /// # Errors
    /// When the provider does not prove that it did.
    pub(crate) async fn void(
        &self,
        subject: &Subject,
        asking: Asking,
        by: Instant,
        checks: i32,
    ) -> Result<Intent, CallError> {
        let (order, payment) = (&subject.order, &subject.payment);
        let reference = payment.provider_ref.as_deref().ok_or(CallError::Puzzling("no intent to cancel"))?;
        self.cancel(order.id, payment.attempt, reference, asking, by, checks).await
    }

    pub(crate) async fn cancel(
        &self,
        order_id: i64,
        attempt: i32,
        reference: &str,
        asking: Asking,
        by: Instant,
        checks: i32,
    ) -> Result<Intent, CallError> {
        let key = format!("mc:{order_id}:{attempt}:cancel");
        let gate = &self.inner.gate;
        let cancel = |key: String| async move {
            gate.ask(asking, |provider| provider.cancel(&key, reference, left(by))).await
        };
        let answer = cancel(key.clone()).await;
        self.certain(answer, reference, asking, by, Status::RequiresAction, checks, |checks| {
            cancel(format!("{key}:{checks}"))
        })
        .await
    }

    /// An operation's answer, or what the intent itself shows. A key that was burned by an error of the provider's is
    /// replaced when the intent has not moved: what it does is done once whatever the key.
    #[expect(clippy::too_many_arguments, reason = "one place for what capture and cancel share")]
    async fn certain<F>(
        &self,
        answer: Result<Intent, CallError>,
        reference: &str,
        asking: Asking,
        by: Instant,
        unmoved: Status,
        checks: i32,
        again: impl FnOnce(i32) -> F,
    ) -> Result<Intent, CallError>
    where
        F: Future<Output = Result<Intent, CallError>>,
    {
        let error = match answer {
            Ok(intent) => return Ok(intent),
            Err(error @ (CallError::Refused { .. } | CallError::Replayed)) => error,
            Err(error) => return Err(error),
        };
        let gate = &self.inner.gate;
        let intent = gate.ask(asking, |provider| provider.retrieve(reference, left(by))).await?;
        let stuck = intent.status == unmoved || intent.status == Status::RequiresCapture;
        if error == CallError::Replayed && stuck && checks > 0 {
            return again(checks).await;
        }
        if stuck { Err(error) } else { Ok(intent) }
    }
}

fn minute() -> i32 {
    i32::try_from(now().unix_timestamp() / 60).unwrap_or(i32::MAX)
}

/// How long a call may take that has to be over `by` then.
pub(crate) fn left(by: Instant) -> Duration {
    by.saturating_duration_since(Instant::now()).min(CALL_DEADLINE)
}
