//! What an answer proves.

use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use super::objects;
use crate::domain::payment::{Failure, Status};
use crate::payments::provider::{CallError, Intent, Page, ProviderRefund, RefundPage};

/// How long to be patient when the provider does not say.
const PATIENCE: Duration = Duration::from_secs(2);
/// The provider's words in our tables.
const CODE_MAX: usize = 60;

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// It is what the first request with the key was answered.
    pub(super) replayed: bool,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// An intent. A card that was declined is an answer too: the intent says so.
    pub(super) fn intent(self) -> Result<Intent, CallError> {
        if self.status == StatusCode::PAYMENT_REQUIRED {
            return self.declined();
        }
        self.object::<objects::PaymentIntent>()?
            .read()
            .ok_or(CallError::Puzzling("an intent of no known state"))
    }

    pub(super) fn refund(self) -> Result<ProviderRefund, CallError> {
        Ok(self.object::<objects::Refund>()?.read())
    }

    pub(super) fn refunds(self) -> Result<Vec<ProviderRefund>, CallError> {
        let list = self.object::<objects::List<objects::Refund>>()?;
        if list.has_more {
            return Err(CallError::Puzzling("more refunds than an intent can have"));
        }
        Ok(list.data.into_iter().map(objects::Refund::read).collect())
    }

    pub(super) fn refund_page(self) -> Result<RefundPage, CallError> {
        let list = self.object::<objects::List<objects::Refund>>()?;
        let refunds = list.data.into_iter().map(objects::Refund::read).collect();
        Ok(RefundPage { refunds, more: list.has_more })
    }

    pub(super) fn page(self) -> Result<Page, CallError> {
        let list = self.object::<objects::List<objects::PaymentIntent>>()?;
        let intents = list.data.into_iter().map(objects::PaymentIntent::read);
        let intents = intents.collect::<Option<_>>();
        let intents = intents.ok_or(CallError::Puzzling("an intent of no known state"))?;
        Ok(Page { intents, more: list.has_more })
    }

    fn declined(&self) -> Result<Intent, CallError> {
        let error = self.error();
        let code = error.decline_code.or(error.code).unwrap_or_default();
        let Some(intent) = error.payment_intent else {
            return Err(CallError::Refused { code: clean(&code) });
        };
        let mut intent = intent.read().ok_or(CallError::Puzzling("an intent of no known state"))?;
        if intent.status != Status::Failed {
            return Err(CallError::Puzzling("a decline of an intent that has not failed"));
        }
        intent.failure = Some(Failure::declined(&code));
        Ok(intent)
    }

    fn object<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        if self.status.is_success() {
            return serde_json::from_slice(&self.body)
                .map_err(|_unreadable| CallError::Puzzling("the answer cannot be read"));
        }
        Err(self.refusal())
    }

    fn refusal(&self) -> CallError {
        match self.status {
            // A refused bearer says nothing of what an accepted one has done.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                tracing::error!(status = self.status.as_u16(), "the payment provider does not know us");
                CallError::Puzzling("the provider does not know us")
            }
            StatusCode::TOO_MANY_REQUESTS => {
                CallError::Limited { retry_after: self.retry_after.unwrap_or(PATIENCE) }
            }
            StatusCode::CONFLICT => CallError::InUse,
            status if status.is_server_error() && self.replayed => CallError::Replayed,
            status if status.is_client_error() => {
                let error = self.error();
                match error.kind.as_str() {
                    // The same key for something else: ours is a bug, and what the key did is not known.
                    "idempotency_error" => {
                        tracing::error!("the payment provider saw one key with two requests");
                        CallError::Puzzling("one key with two requests")
                    }
                    "invalid_request_error" | "card_error" => {
                        CallError::Refused { code: clean(&error.code.unwrap_or_default()) }
                    }
                    _ => CallError::Puzzling("an error of no known kind"),
                }
            }
            _ => CallError::Unclear("an error of the provider's"),
        }
    }

    fn error(&self) -> objects::Refusal {
        serde_json::from_slice::<objects::Refused>(&self.body).map(|body| body.error).unwrap_or_default()
    }
}

/// A code fit for our tables.
fn clean(code: &str) -> String {
    let fits = !code.is_empty() && code.len() <= CODE_MAX;
    let fits = fits && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { code.to_owned() } else { "provider_refused".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, replayed: bool, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, replayed, retry_after: None, body: body.as_bytes().to_vec() }
    }

    #[track_caller]
    fn check(status: u16, replayed: bool, body: &str, expected: &CallError) {
        assert_eq!(answer(status, replayed, body).intent().as_ref(), Err(expected), "{status} {body}");
    }

    const INTENT: &str = r#"{"id":"pi_1","status":"requires_payment_method","amount":5,"currency":"brl"}"#;

    #[test]
    fn only_a_refusal_is_proof() {
        let invalid = r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#;
        check(400, false, invalid, &CallError::Refused { code: "resource_missing".to_owned() });
        check(
            404,
            false,
            r#"{"error":{"type":"invalid_request_error"}}"#,
            &CallError::Refused { code: "provider_refused".to_owned() },
        );
        check(409, false, "{}", &CallError::InUse);
        check(429, false, "{}", &CallError::Limited { retry_after: PATIENCE });
        check(500, true, "{}", &CallError::Replayed);
        for (status, body) in [
            (200, "{"),
            (200, r#"{"id":"pi_1","status":"dancing","amount":5,"currency":"brl"}"#),
            (400, "<html>"),
            (400, r#"{"error":{"type":"idempotency_error"}}"#),
            (401, invalid),
            (403, invalid),
        ] {
            let error = answer(status, false, body).intent().expect_err("no proof");
            assert!(matches!(error, CallError::Puzzling(_)), "{status} {body}: {error}");
        }
        for (status, body) in [(302, ""), (500, ""), (502, "<html>")] {
            let error = answer(status, false, body).intent().expect_err("no proof");
            assert!(matches!(error, CallError::Unclear(_)), "{status} {body}: {error}");
        }
    }

    #[test]
    fn a_decline_is_an_answer() {
        let body = format!(
            r#"{{"error":{{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","payment_intent":{INTENT}}}}}"#
        );
        let intent = answer(402, false, &body).intent().expect("an intent");
        assert_eq!(intent.status, Status::Failed);
        let failure = Failure { code: "insufficient_funds".to_owned(), retryable: true };
        assert_eq!(intent.failure, Some(failure));
        check(
            402,
            false,
            r#"{"error":{"type":"card_error","code":"card_declined"}}"#,
            &CallError::Refused { code: "card_declined".to_owned() },
        );
    }
}
