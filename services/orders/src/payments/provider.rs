//! The port: what the shop asks of whoever moves the money, and what it may be told.

use std::fmt::Debug;
use std::time::Duration;

use rls::BoxFuture;
use time::OffsetDateTime;
use uuid::Uuid;

use super::api::Api;
use super::breaker::Open;
use super::signature::{self, Unsigned};
use super::token::CardToken;
use crate::domain::payment::{Failure, Status};

/// A payment provider. Every call names its key, under which the provider does it once, and how long it may take.
///
/// Both providers speak the same words on the wire, so the calls are written once, against [`Api`]; an adapter says
/// who it is and which cards it takes.
pub(crate) trait PaymentProvider: Debug + Send + Sync + 'static {
    /// As payments name it, and the path of its webhooks.
    fn name(&self) -> &'static str;

    /// Whether it would know this token.
    fn accepts(&self, token: &CardToken) -> bool;

    /// Its interface.
    fn api(&self) -> &Api;

    /// Makes an intent and confirms it. `request` is what [`NewIntent::describe`] gave, byte for byte, however often
    /// it is repeated.
    fn create_and_confirm<'a>(
        &'a self,
        key: &'a str,
        request: Vec<u8>,
        within: Duration,
    ) -> BoxFuture<'a, Result<Intent, CallError>> {
        Box::pin(self.api().create_intent(key, request, within))
    }

    /// The intent as it is now.
    fn retrieve<'a>(
        &'a self,
        reference: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<Intent, CallError>> {
        Box::pin(self.api().intent(reference, within))
    }

    /// Takes what was authorised.
    fn capture<'a>(
        &'a self,
        key: &'a str,
        reference: &'a str,
        amount: i64,
        within: Duration,
    ) -> BoxFuture<'a, Result<Intent, CallError>> {
        Box::pin(self.api().capture(key, reference, amount, within))
    }

    /// Gives up an intent that has not succeeded; nobody is charged.
    fn cancel<'a>(
        &'a self,
        key: &'a str,
        reference: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<Intent, CallError>> {
        Box::pin(self.api().cancel(key, reference, within))
    }

    /// Gives money back.
    fn refund<'a>(
        &'a self,
        key: &'a str,
        refund: &'a NewRefund,
        within: Duration,
    ) -> BoxFuture<'a, Result<ProviderRefund, CallError>> {
        Box::pin(self.api().create_refund(key, refund, within))
    }

    /// The refund as it is now.
    fn retrieve_refund<'a>(
        &'a self,
        reference: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<ProviderRefund, CallError>> {
        Box::pin(self.api().refund(reference, within))
    }

    /// Every refund of an intent.
    fn refunds_of<'a>(
        &'a self,
        reference: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<Vec<ProviderRefund>, CallError>> {
        Box::pin(self.api().refunds_of(reference, within))
    }

    /// The intent of a payment that was first asked for at `since`, by what we said it is for. `None` proves that there
    /// is none, if no request for it is under way. Many calls, each of which may take `within`.
    ///
    /// Stripe's search is quick and lags behind: what it finds is there, what it does not find may be. The list tells, and
    /// is read to its end.
    fn find_by_metadata<'a>(
        &'a self,
        payment: &'a Of,
        since: OffsetDateTime,
        within: Duration,
    ) -> BoxFuture<'a, Result<Option<Intent>, CallError>> {
        Box::pin(async move {
            let api = self.api();
            match api.search(payment, within).await? {
                // What a search tells may be a minute old.
                Some(found) => api.intent(&found.reference, within).await.map(Some),
                None => api.find_in_list(payment, since, within).await,
            }
        })
    }

    /// A page of the intents made since `from`, newest first; `after` is the last of the page before.
    fn list<'a>(
        &'a self,
        from: OffsetDateTime,
        after: Option<&'a str>,
        within: Duration,
    ) -> BoxFuture<'a, Result<Page, CallError>> {
        Box::pin(self.api().intents(from, after, within))
    }

    /// A page of the refunds made since `from`, newest first; `after` is the last of the page before.
    fn list_refunds<'a>(
        &'a self,
        from: OffsetDateTime,
        after: Option<&'a str>,
        within: Duration,
    ) -> BoxFuture<'a, Result<RefundPage, CallError>> {
        Box::pin(self.api().refunds(from, after, within))
    }

    /// What a webhook says, if the provider signed it.
    fn parse_webhook(
        &self,
        body: &[u8],
        signature: &str,
        now: OffsetDateTime,
    ) -> Result<ProviderEvent, WebhookRefused> {
        let secrets = self.api().webhook_secrets().iter().map(String::as_str);
        signature::verify(secrets, signature, body, now.unix_timestamp())?;
        super::api::event(body).ok_or(WebhookRefused::Unreadable)
    }
}

/// What is to be charged.
pub(crate) struct NewIntent<'a> {
    pub(crate) order_id: i64,
    pub(crate) payment_id: Uuid,
    pub(crate) attempt: i32,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) currency: &'a str,
    pub(crate) with: With<'a>,
}

/// What it is charged to.
pub(crate) enum With<'a> {
    /// A card, authorised now and captured later; the bank may send the buyer to `return_url`.
    Card { token: &'a CardToken, return_url: &'a str },
    /// A code that is valid for so long.
    Pix { expires_after: Duration },
}

/// What is to be given back.
#[derive(Debug)]
pub(crate) struct NewRefund {
    pub(crate) intent: String,
    pub(crate) amount: i64,
    pub(crate) order_id: i64,
    pub(crate) payment_id: Uuid,
    pub(crate) refund_id: Uuid,
}

/// A payment as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) reference: String,
    pub(crate) status: Status,
    pub(crate) amount: i64,
    /// Upper case.
    pub(crate) currency: String,
    /// What was taken.
    pub(crate) received: i64,
    /// What was given back, when it says.
    pub(crate) refunded: Option<i64>,
    /// What we said it is for.
    pub(crate) of: Of,
    pub(crate) failure: Option<Failure>,
    pub(crate) next_action: Option<NextAction>,
    pub(crate) created: i64,
}

/// Our names for what the provider has; whatever it does not repeat, or garbles, is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Of {
    pub(crate) order_id: Option<i64>,
    pub(crate) payment_id: Option<Uuid>,
    pub(crate) attempt: Option<i32>,
    pub(crate) refund_id: Option<Uuid>,
}

/// What the buyer has to do; kept with the payment in this form.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum NextAction {
    /// Go to the bank.
    Redirect { url: String },
    /// Scan the code, or paste it.
    Pix {
        copy_paste: String,
        image_url: String,
        /// Seconds since 1970.
        expires_at: i64,
    },
}

/// Some of the provider's intents.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) intents: Vec<Intent>,
    pub(crate) more: bool,
}

/// A refund as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderRefund {
    pub(crate) reference: String,
    pub(crate) status: RefundStatus,
    pub(crate) amount: i64,
    pub(crate) of: Of,
}

/// Some of the provider's refunds.
#[derive(Debug)]
pub(crate) struct RefundPage {
    pub(crate) refunds: Vec<ProviderRefund>,
    pub(crate) more: bool,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
}

/// What a webhook tells: enough to know what to look at, and to see that it is talking about something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderEvent {
    pub(crate) id: String,
    pub(crate) kind: String,
    /// The intent that it is about.
    pub(crate) intent: Option<String>,
    /// The parts of it that are kept; nothing about the buyer.
    pub(crate) excerpt: serde_json::Value,
}

/// Why a webhook is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookRefused {
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// Signed, and not what the provider sends.
    #[error("the event cannot be read")]
    Unreadable,
}

/// Why a call did not give what was asked for. Only [`Refused`](Self::Refused) proves that nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The provider says why it did nothing.
    #[error("the provider refused: {code}")]
    Refused { code: String },
    /// The first request with this key is still under way.
    #[error("the provider is still working on the first request")]
    InUse,
    /// The first request with this key is over and ended in an error of the provider's; what it did is to be looked
    /// up, and the key gives no other answer.
    #[error("the provider repeats its first answer, an error")]
    Replayed,
    /// Too many requests.
    #[error("the provider asks for patience")]
    Limited { retry_after: Duration },
    /// No answer, or an error of the provider's: anything may have happened, and the provider may be down.
    #[error("the provider gave no proof: {0}")]
    Unclear(&'static str),
    /// The provider is there, and what it says proves nothing either.
    #[error("the provider's answer proves nothing: {0}")]
    Puzzling(&'static str),
    /// Nothing was asked.
    #[error(transparent)]
    Open(#[from] Open),
}
