//! What the provider tells us: believed when it is signed, kept once, and worked through later. An event says where to
//! look, not what is: the intent itself is asked for.

use rls::{Caller, Class, DatabaseError};
use serde_json::Value;
use uuid::Uuid;

use super::Payments;
use super::gate::Asking;
use super::provider::{CallError, WebhookRefused};
use super::settle::{Heard, WORK_DEADLINE};
use crate::domain::Invalid;
use crate::error::Error;
use crate::handlers::{Call, now};
use crate::store::payments as store;
use crate::store::payments::issues::Issue;
use crate::store::payments::provider_events::{self, Kept};

/// Events taken at once (S170).
const PREFETCH: i64 = 4;
/// The first try and three more (S175).
const TRIES_MAX: i32 = 4;
/// A longer one is none.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// What became of an event.
type Outcome = &'static str;

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
            if let WebhookRefused::Unsigned(unsigned) = &refused {
                tracing::warn!(reason = %unsigned, "a webhook of the payment provider was refused");
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

    /// Works through some events that are due; answers how many.
    pub(crate) async fn work_some_events(&self) -> Result<usize, Error> {
        let taken = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(provider_events::take(tx, PREFETCH).await?) })
        });
        let events = taken.await?.value;
        let count = events.len();
        for event in events {
            let outcome = match self.work(&event).await {
                Ok(outcome) => outcome,
                Err(error) if event.attempts < TRIES_MAX => {
                    tracing::warn!(event.id = event.event_id, %error, "an event is tried again in a minute");
                    continue;
                }
                Err(error) => {
                    self.event_issue(&event, "event_unworkable", error.to_string()).await?;
                    "given_up"
                }
            };
            // Acknowledged after the work (S171): a crash before this has it done twice, which changes nothing.
            self.end(&event, outcome).await?;
            self.inner.counts.event();
        }
        Ok(count)
    }

    async fn work(&self, event: &Kept) -> Result<Outcome, Unworked> {
        match event.kind.split_once('.') {
            Some(("payment_intent", _)) => self.about_intent(event).await,
            Some(("charge", "refunded" | "refund.updated")) | Some(("refund", _)) => {
                self.about_refund(event).await
            }
            Some(("charge", kind)) if kind.starts_with("dispute.") => {
                self.event_issue(event, "dispute", format!("the provider tells of a {}", event.kind)).await?;
                Ok("issue")
            }
            _ => Ok("ignored"),
        }
    }

    async fn about_intent(&self, event: &Kept) -> Result<Outcome, Unworked> {
        let Some(reference) = event.provider_ref.as_deref() else { return Ok("ignored") };
        let Some(id) = self.payment_of(event, reference).await? else {
            let detail = "an intent that no payment of ours belongs to".to_owned();
            self.event_issue(event, "unknown_intent", detail).await?;
            return Ok("unknown_intent");
        };
        let looked = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(store::take_one(tx, id).await?) })
        });
        let Some(payment) = looked.await.map_err(Error::from)?.value else { return Ok("unknown_intent") };
        if let Some(detail) = contradiction(event, &payment, reference) {
            self.event_issue(event, "event_mismatch", detail).await?;
            return Ok("mismatch");
        }
        let intent = self
            .inner
            .gate
            .ask(Asking::Worker, |provider| provider.retrieve(reference, super::CALL_DEADLINE));
        let intent = intent.await?;
        self.carry_on(id, Heard::Intent(intent), payment.checks).await?;
        Ok("applied")
    }

    /// The payment of the event's intent: the one that knows it, or the one that the intent names and that has not heard
    /// of it yet.
    async fn payment_of(&self, event: &Kept, reference: &str) -> Result<Option<Uuid>, Error> {
        let named = event.payload.get("payment_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let (provider, reference) = (event.provider.clone(), reference.to_owned());
        let found = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move {
                if let Some(id) = store::by_reference(tx, &provider, &reference).await? {
                    return Ok(Some(id));
                }
                let Some(id) = named else { return Ok(None) };
                Ok::<_, DatabaseError>(store::take_one(tx, id).await?.map(|payment| payment.id))
            })
        });
        Ok(found.await?.value)
    }

    /// Raises an issue about an event's intent.
    async fn event_issue(&self, event: &Kept, kind: &'static str, detail: String) -> Result<(), Error> {
        let reference = event.provider_ref.clone().unwrap_or_else(|| event.event_id.clone());
        self.raise(Issue { kind, order_id: None, payment_id: None, reference, detail }).await
    }

    async fn end(&self, event: &Kept, outcome: Outcome) -> Result<(), Error> {
        let (provider, id) = (event.provider.clone(), event.event_id.clone());
        let ended = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move {
                Ok::<_, DatabaseError>(provider_events::end(tx, &provider, &id, outcome).await?)
            })
        });
        Ok(ended.await.map(drop)?)
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

/// Where a signed event contradicts what was asked for; such an event is not followed.
fn contradiction(event: &Kept, payment: &store::Due, reference: &str) -> Option<String> {
    if payment.provider_ref.as_deref().is_some_and(|known| known != reference) {
        return Some("the payment has another intent".to_owned());
    }
    let said = &event.payload;
    let number =
        |name: &str| said.get(name).and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok());
    let order = number("order_id");
    if order != Some(payment.order_id) {
        return Some(format!("it names order {order:?} instead of {}", payment.order_id));
    }
    let amount = said.get("amount").and_then(Value::as_i64);
    if amount != Some(payment.amount) {
        return Some(format!("it tells of {amount:?} instead of {}", payment.amount));
    }
    let currency = said.get("currency").and_then(Value::as_str).unwrap_or_default();
    (!currency.eq_ignore_ascii_case(&payment.currency)).then(|| "it tells of another currency".to_owned())
}
