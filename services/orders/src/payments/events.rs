//! What the provider tells us: believed when it is signed, kept once, and worked through later. An event says where to
//! look, not what is: the intent itself is asked for.

use futures_util::StreamExt as _;
use futures_util::stream;
use rls::{Caller, Class, DatabaseError};
use serde_json::Value;

use super::gate::Asking;
use super::provider::{CallError, WebhookRefused};
use super::settle::{Heard, WORK_DEADLINE};
use super::signature::Unsigned;
use super::{CALL_DEADLINE, Payments};
use crate::domain::Invalid;
use crate::domain::payment::Status;
use crate::error::Error;
use crate::handlers::{Call, now};
use crate::store::payments::issues::Issue;
use crate::store::payments::provider_events::{self, Kept};

/// Events worked on side by side, and four times as many taken at once (S170).
const SIDE_BY_SIDE: usize = 8;
const BATCH: i64 = 32;
/// The first try and three more (S175).
const TRIES_MAX: i32 = 4;
/// Processes that an event may have ended before it is left to people.
const VICTIMS_MAX: i32 = 20;
/// A longer one is none.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// What became of an event.
type Outcome = &'static str;

/// What became of the events about one intent.
#[derive(Debug, Default)]
struct Worked {
    ended: Vec<(Kept, Outcome)>,
    /// To be tried again.
    failed: Vec<Kept>,
    /// To be tried when the provider and the database are there again.
    waiting: Vec<Kept>,
}

impl Payments {
    /// Keeps an event, if the provider signed it. Repeats change nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what the provider did not send.
    pub(crate) async fn receive(
        &self,
        call: &Call,
        provider: &str,
        body: Vec<u8>,
        signature: &str,
    ) -> Result<(), Error> {
        let refuse =
            |detail: &str| Error::Invalid(Invalid::because("invalid_signature", "signature", detail));
        if provider != self.provider().name() {
            return Err(refuse("there is no such provider"));
        }
        if body.len() > BODY_BYTES_MAX {
            return Err(Error::Invalid(Invalid::value("body", "is too long")));
        }
        let event = self.provider().parse_webhook(&body, signature, now()).map_err(|refused| {
            match &refused {
                WebhookRefused::Unsigned(Unsigned::OutOfTime { by_s }) => {
                    // Truly signed: somebody plays it back, or one of the clocks is wrong. Polling settles payments anyway.
                    tracing::error!(
                        alarm = "clock_skew",
                        by_s,
                        "a webhook of the payment provider is out of time"
                    );
                }
                WebhookRefused::Unsigned(reason) => {
                    tracing::warn!(%reason, "a webhook of the payment provider was refused");
                }
                WebhookRefused::Unreadable => {
                    tracing::error!("a webhook that the payment provider signed cannot be read");
                }
            }
            refuse(&refused.to_string())
        })?;
        let provider = self.provider().name();
        call.write_as(Caller::Service, move |tx| {
            Box::pin(async move { Ok(provider_events::keep(tx, provider, &event).await?) })
        })
        .await?;
        failpoints::hit("wh.after_inbox_before_apply").await?;
        self.inner.events_due.notify_one();
        Ok(())
    }

    /// Works through some events that are due; answers how many. Most of them tell what is known already: those end
    /// together, without asking the provider.
    pub(crate) async fn work_some_events(&self) -> Result<usize, Error> {
        let provider = self.provider().name();
        let taken = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(provider_events::take(tx, BATCH, provider).await?) })
        });
        let events = taken.await?.value;
        let count = events.len();
        let (mut ended, mut early, mut asking) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            match first_look(&event) {
                Look::Ended(outcome) => ended.push((event, outcome)),
                Look::Early => early.push(event),
                Look::Closer => asking.push(event),
            }
        }
        // One intent is not asked for twice at once.
        asking.sort_by(|a, b| a.provider_ref.cmp(&b.provider_ref));
        let mut groups: Vec<Vec<Kept>> = Vec::new();
        for event in asking {
            match groups.last_mut() {
                Some(group) if group[0].provider_ref == event.provider_ref => group.push(event),
                _ => groups.push(vec![event]),
            }
        }
        let worked = stream::iter(groups.into_iter().map(|group| self.work_group(group)));
        let worked: Vec<Worked> = worked.buffer_unordered(SIDE_BY_SIDE).collect().await;
        let (mut failed, mut waiting) = (Vec::new(), Vec::new());
        for group in worked {
            ended.extend(group.ended);
            failed.extend(group.failed);
            waiting.extend(group.waiting);
        }
        for _ in &ended {
            self.inner.counts.event();
        }
        // Acknowledged after the work (S171): a crash before this has it done twice, which changes nothing.
        let noted = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move {
                if !ended.is_empty() {
                    provider_events::end(tx, &ended).await?;
                }
                if !early.is_empty() {
                    provider_events::wait_with(tx, &early).await?;
                }
                if !failed.is_empty() {
                    provider_events::retry(tx, &failed).await?;
                }
                if !waiting.is_empty() {
                    provider_events::wait_for_provider(tx, &waiting).await?;
                }
                Ok::<_, DatabaseError>(())
            })
        });
        noted.await?;
        Ok(count)
    }

    /// Events about one intent, one after the other.
    async fn work_group(&self, group: Vec<Kept>) -> Worked {
        let mut worked = Worked::default();
        for event in group {
            let outcome = match self.work(&event).await {
                Ok(outcome) => outcome,
                Err(error) if error.is_outage() && !event.is_old && event.attempts < VICTIMS_MAX => {
                    tracing::info!(event.id = event.event_id, %error, "an event has to wait");
                    worked.waiting.push(event);
                    continue;
                }
                Err(error) if event.failures + 1 < TRIES_MAX && event.attempts < VICTIMS_MAX => {
                    tracing::warn!(event.id = event.event_id, %error, "an event is tried again in a minute");
                    worked.failed.push(event);
                    continue;
                }
                Err(error) => {
                    if let Err(error) = self.event_issue(&event, "event_unworkable", error.to_string()).await
                    {
                        tracing::warn!(event.id = event.event_id, %error, "an issue was not raised");
                        worked.failed.push(event);
                        continue;
                    }
                    "given_up"
                }
            };
            worked.ended.push((event, outcome));
        }
        worked
    }

    async fn work(&self, event: &Kept) -> Result<Outcome, Unworked> {
        match kind(event) {
            Kind::Intent => self.about_intent(event).await,
            Kind::Refund => self.about_refund(event).await,
            Kind::Dispute => {
                let kind = match event.kind.rsplit_once('.') {
                    Some((_, "created")) => "dispute",
                    Some((_, "closed")) => "dispute_closed",
                    _ => "dispute_updated",
                };
                self.event_issue(event, kind, format!("the provider tells of a {}", event.kind)).await?;
                Ok("issue")
            }
            Kind::Other => Ok("ignored"),
        }
    }

    async fn about_intent(&self, event: &Kept) -> Result<Outcome, Unworked> {
        let Some(reference) = event.provider_ref.as_deref() else { return Ok("ignored") };
        let Some(id) = event.payment_id else {
            let detail = "an intent that no payment of ours belongs to".to_owned();
            self.event_issue(event, "unknown_intent", detail).await?;
            return Ok("unknown_intent");
        };
        if let Some(detail) = contradiction(event) {
            self.event_issue(event, "event_mismatch", detail).await?;
            return Ok("mismatch");
        }
        let intent =
            self.inner.gate.ask(Asking::Worker, |provider| provider.retrieve(reference, CALL_DEADLINE));
        let intent = intent.await?;
        self.carry_on(id, Heard::Intent(intent), event.checks.unwrap_or_default()).await?;
        Ok("applied")
    }

    /// Raises an issue about an event's intent.
    async fn event_issue(&self, event: &Kept, kind: &'static str, detail: String) -> Result<(), Error> {
        let reference = event.provider_ref.clone().unwrap_or_else(|| event.event_id.clone());
        let (order_id, payment_id) = (event.order_id, event.payment_id);
        self.raise(Issue { kind, order_id, payment_id, reference, detail }).await
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Intent,
    Refund,
    Dispute,
    Other,
}

fn kind(event: &Kept) -> Kind {
    match event.kind.split_once('.') {
        Some(("payment_intent", _)) => Kind::Intent,
        Some(("refund", _) | ("charge", "refunded" | "refund.updated")) => Kind::Refund,
        Some(("charge", what)) if what.starts_with("dispute.") => Kind::Dispute,
        _ => Kind::Other,
    }
}

/// What can be said of an event without asking the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Ended(Outcome),
    /// The request that it is about may still be at it, and would be in its way.
    Early,
    /// The provider has to be asked, or a person.
    Closer,
}

fn first_look(event: &Kept) -> Look {
    match kind(event) {
        Kind::Other => return Look::Ended("ignored"),
        Kind::Refund | Kind::Dispute => return Look::Closer,
        Kind::Intent => {}
    }
    let status = event.status.as_deref().and_then(Status::named);
    let Some(status) = status.filter(|_| contradiction(event).is_none()) else { return Look::Closer };
    let bad_news =
        ["payment_intent.payment_failed", "payment_intent.canceled"].contains(&event.kind.as_str());
    match status {
        Status::Succeeded => Look::Ended("known"),
        Status::Failed | Status::Canceled if bad_news => Look::Ended("known"),
        // Workers drive what is authorised.
        Status::RequiresCapture if event.kind == "payment_intent.amount_capturable_updated" => {
            Look::Ended("known")
        }
        Status::Created | Status::Unknown | Status::RequiresCapture if event.is_under_way == Some(true) => {
            Look::Early
        }
        Status::Created
        | Status::Unknown
        | Status::Processing
        | Status::RequiresAction
        | Status::RequiresCapture
        | Status::Failed
        | Status::Canceled => Look::Closer,
    }
}

/// Why an event was not worked through this time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unworked {
    #[error(transparent)]
    Here(#[from] Error),
    #[error(transparent)]
    Provider(#[from] CallError),
}

impl Unworked {
    /// Whether it says nothing about the event: somebody was away.
    fn is_outage(&self) -> bool {
        match self {
            Self::Here(Error::Database(_) | Error::Away(_)) => true,
            Self::Here(_) => false,
            Self::Provider(error) => match error {
                CallError::Unclear(_)
                | CallError::Limited { .. }
                | CallError::Open(_)
                | CallError::InUse
                | CallError::Replayed => true,
                CallError::Refused { .. } | CallError::Puzzling(_) => false,
            },
        }
    }
}

/// Where a signed event contradicts what was asked for; such an event is not followed.
fn contradiction(event: &Kept) -> Option<String> {
    if event.known_ref.is_some() && event.known_ref != event.provider_ref {
        return Some("the payment has another intent".to_owned());
    }
    let said = &event.payload;
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    let order = text("order_id").and_then(|text| text.parse::<i64>().ok());
    if order != event.order_id {
        return Some(format!("it names order {order:?} instead of {:?}", event.order_id));
    }
    let amount = said.get("amount").and_then(Value::as_i64);
    if amount != event.amount {
        return Some(format!("it tells of {amount:?} instead of {:?}", event.amount));
    }
    let (currency, asked) = (text("currency").unwrap_or_default(), event.currency.as_deref());
    (!currency.eq_ignore_ascii_case(asked.unwrap_or_default()))
        .then(|| "it tells of another currency".to_owned())
}
