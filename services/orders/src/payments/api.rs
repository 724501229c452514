//! Stripe's interface over HTTP: forms in, JSON out, one idempotency key per operation.
//!
//! What an answer proves is decided here, once, for every caller: see [`answer`].

mod answer;
mod form;
mod objects;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, redirect};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use self::answer::Answer;
use self::form::Form;
pub(super) use self::objects::event;
use super::provider::{CallError, Intent, NewIntent, NewRefund, Of, Page, ProviderRefund, RefundPage, With};

/// The version of the interface that this code was written against.
const VERSION: &str = "2024-06-20";
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// Connections kept for the next call.
const IDLE_MAX: usize = 16;
/// A page of a hundred intents is far shorter.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
const PAGE: &str = "100";
/// How long a list is read to find one intent.
const WALK_DEADLINE: Duration = Duration::from_secs(20);
/// With less time than this nothing is asked: it would look as if the provider had not answered.
const CALL_MIN: Duration = Duration::from_millis(20);
/// Our clocks and the provider's differ by less.
const CLOCKS_DIFFER: time::Duration = time::Duration::minutes(5);

/// A client of the interface. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    base: Arc<str>,
    bearer: HeaderValue,
    webhook_secrets: Arc<[String]>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("TLS towards the payment provider cannot be set up")]
    Tls(#[source] reqwest::Error),
    #[error("the payment provider's secret holds characters that no header may")]
    Secret,
}

impl Api {
    /// A client of `base`, such as `https://api.stripe.com`.
    ///
    /// # Errors
    /// When TLS cannot be set up, or the secret is no text.
    pub(crate) fn new(base: &str, secret: &str, webhook_secrets: Vec<String>) -> Result<Self, ApiError> {
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_DEADLINE)
            .pool_max_idle_per_host(IDLE_MAX)
            .user_agent("MestresCafe-Payments/1")
            .build()
            .map_err(ApiError::Tls)?;
        let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {secret}")) else {
            return Err(ApiError::Secret);
        };
        bearer.set_sensitive(true);
        let base = base.trim_end_matches('/').into();
        Ok(Self { http, base, bearer, webhook_secrets: webhook_secrets.into() })
    }

    /// What webhooks may be signed with, newest first.
    pub(crate) fn webhook_secrets(&self) -> &[String] {
        &self.webhook_secrets
    }

    pub(crate) async fn create_intent(
        &self,
        key: &str,
        request: Vec<u8>,
        within: Duration,
    ) -> Result<Intent, CallError> {
        self.post("/v1/payment_intents", key, request, within).await?.intent()
    }

    pub(crate) async fn intent(&self, reference: &str, within: Duration) -> Result<Intent, CallError> {
        let path = format!("/v1/payment_intents/{}?expand[]=latest_charge", segment(reference)?);
        self.get(&path, within).await?.intent()
    }

    pub(crate) async fn capture(
        &self,
        key: &str,
        reference: &str,
        amount: i64,
        within: Duration,
    ) -> Result<Intent, CallError> {
        let body = Form::default().field("amount_to_capture", &amount.to_string()).into_bytes();
        let path = format!("/v1/payment_intents/{}/capture", segment(reference)?);
        self.post(&path, key, body, within).await?.intent()
    }

    pub(crate) async fn cancel(
        &self,
        key: &str,
        reference: &str,
        within: Duration,
    ) -> Result<Intent, CallError> {
        let body = Form::default().field("cancellation_reason", "abandoned").into_bytes();
        let path = format!("/v1/payment_intents/{}/cancel", segment(reference)?);
        self.post(&path, key, body, within).await?.intent()
    }

    pub(crate) async fn create_refund(
        &self,
        key: &str,
        refund: &NewRefund,
        within: Duration,
    ) -> Result<ProviderRefund, CallError> {
        let body = Form::default()
            .field("payment_intent", &refund.intent)
            .field("amount", &refund.amount.to_string())
            .field("reason", "requested_by_customer")
            .field("metadata[order_id]", &refund.order_id.to_string())
            .field("metadata[payment_id]", &refund.payment_id.to_string())
            .field("metadata[refund_id]", &refund.refund_id.to_string())
            .into_bytes();
        self.post("/v1/refunds", key, body, within).await?.refund()
    }

    pub(crate) async fn refund(
        &self,
        reference: &str,
        within: Duration,
    ) -> Result<ProviderRefund, CallError> {
        self.get(&format!("/v1/refunds/{}", segment(reference)?), within).await?.refund()
    }

    pub(crate) async fn refunds_of(
        &self,
        reference: &str,
        within: Duration,
    ) -> Result<Vec<ProviderRefund>, CallError> {
        let path = format!("/v1/refunds?limit={PAGE}&payment_intent={}", segment(reference)?);
        self.get(&path, within).await?.refunds()
    }

    pub(crate) async fn refunds(
        &self,
        from: OffsetDateTime,
        after: Option<&str>,
        within: Duration,
    ) -> Result<RefundPage, CallError> {
        let mut path = format!("/v1/refunds?limit={PAGE}&created[gte]={}", from.unix_timestamp());
        if let Some(after) = after {
            path = format!("{path}&starting_after={}", segment(after)?);
        }
        self.get(&path, within).await?.refund_page()
    }

    pub(crate) async fn intents(
        &self,
        from: OffsetDateTime,
        after: Option<&str>,
        within: Duration,
    ) -> Result<Page, CallError> {
        let mut path = format!(
            "/v1/payment_intents?limit={PAGE}&created[gte]={}&expand[]=data.latest_charge",
            from.unix_timestamp(),
        );
        if let Some(after) = after {
            path = format!("{path}&starting_after={}", segment(after)?);
        }
        self.get(&path, within).await?.page()
    }

    /// The intent of a payment among all that were made since then; `None` when the list was read to its end.
    pub(crate) async fn find_in_list(
        &self,
        payment: &Of,
        since: OffsetDateTime,
        within: Duration,
    ) -> Result<Option<Intent>, CallError> {
        let by = Instant::now() + WALK_DEADLINE;
        let mut after: Option<String> = None;
        while Instant::now() < by {
            let page = self.intents(since - CLOCKS_DIFFER, after.as_deref(), within).await?;
            after = page.intents.last().map(|last| last.reference.clone());
            let found = page.intents.into_iter().find(|intent| intent.of.payment_id == payment.payment_id);
            if found.is_some() || !page.more {
                return Ok(found);
            }
            if after.is_none() {
                break;
            }
        }
        Err(CallError::Puzzling("the provider's list does not end"))
    }

    /// The intent of a payment, if it is old enough to be found.
    pub(crate) async fn search(&self, payment: &Of, within: Duration) -> Result<Option<Intent>, CallError> {
        let (Some(id), Some(order)) = (payment.payment_id, payment.order_id) else { return Ok(None) };
        // metadata['order_id']:'17' AND metadata['payment_id']:'018f…'
        let path = format!(
            "/v1/payment_intents/search?limit=1&query=metadata%5B%27order_id%27%5D%3A%27{order}%27%20AND%20\
             metadata%5B%27payment_id%27%5D%3A%27{id}%27"
        );
        let page = self.get(&path, within).await?.page()?;
        Ok(page.intents.into_iter().find(|intent| intent.of.payment_id == Some(id)))
    }

    async fn get(&self, path: &str, within: Duration) -> Result<Answer, CallError> {
        self.ask(Method::GET, path, None, within).await
    }

    async fn post(
        &self,
        path: &str,
        key: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        self.ask(Method::POST, path, Some((key, body)), within).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        posted: Option<(&str, Vec<u8>)>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        if within < CALL_MIN {
            return Err(CallError::Puzzling("no time is left"));
        }
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header(AUTHORIZATION, self.bearer.clone())
            .header("stripe-version", VERSION);
        if let Some((key, body)) = posted {
            request = request
                .header("idempotency-key", key)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body);
        }
        let answered = timeout(within, async {
            // An error of the client may repeat the URL: what is said of it is said in our words.
            let answer = request.send().await.map_err(|error| CallError::Unclear(reason(&error)))?;
            read(answer).await
        });
        answered.await.unwrap_or(Err(CallError::Unclear("no answer in time")))
    }
}

impl NewIntent<'_> {
    /// The request, as it is kept and sent.
    pub(crate) fn describe(&self) -> Vec<u8> {
        let form = Form::default()
            .field("amount", &self.amount.to_string())
            .field("currency", &self.currency.to_ascii_lowercase())
            .field("confirm", "true")
            .field("metadata[order_id]", &self.order_id.to_string())
            .field("metadata[payment_id]", &self.payment_id.to_string())
            .field("metadata[attempt]", &self.attempt.to_string());
        let form = match &self.with {
            With::Card { token, return_url } => form
                .field("payment_method_types[]", "card")
                .field("capture_method", "manual")
                .field("payment_method", token.reveal())
                .field("return_url", return_url),
            With::Pix { expires_after } => {
                form.field("payment_method_types[]", "pix").field("payment_method_data[type]", "pix").field(
                    "payment_method_options[pix][expires_after_seconds]",
                    &expires_after.as_secs().to_string(),
                )
            }
        };
        form.into_bytes()
    }
}

/// The secrets stay here.
impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

/// An id of the provider's as a part of a path; whatever else it might be is not asked for.
fn segment(reference: &str) -> Result<&str, CallError> {
    let fits = !reference.is_empty() && reference.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { Ok(reference) } else { Err(CallError::Refused { code: "malformed_reference".to_owned() }) }
}

async fn read(mut answer: Response) -> Result<Answer, CallError> {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let replayed = header("idempotent-replayed") == Some("true");
    let retry_after = header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| CallError::Unclear(reason(&error)))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(CallError::Puzzling("the answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, replayed, retry_after: retry_after.map(Duration::from_secs), body })
}

fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::token::CardToken;

    fn text(with: With<'_>) -> String {
        let payment_id = uuid::Uuid::nil();
        let new = NewIntent { order_id: 17, payment_id, attempt: 2, amount: 12_345, currency: "BRL", with };
        String::from_utf8(new.describe()).expect("ASCII")
    }

    #[test]
    fn a_card_is_authorised_and_a_code_has_its_time() {
        let common = "amount=12345&currency=brl&confirm=true&metadata%5Border%5Fid%5D=17\
                      &metadata%5Bpayment%5Fid%5D=00000000%2D0000%2D0000%2D0000%2D000000000000&metadata%5Battempt%5D=2";
        let token = CardToken::parse("pm_card_visa".to_owned()).expect("a token");
        assert_eq!(
            text(With::Card { token: &token, return_url: "https://x.example/a?b=c&d" }),
            format!(
                "{common}&payment%5Fmethod%5Ftypes%5B%5D=card&capture%5Fmethod=manual\
                 &payment%5Fmethod=pm%5Fcard%5Fvisa&return%5Furl=https%3A%2F%2Fx%2Eexample%2Fa%3Fb%3Dc%26d"
            )
        );
        assert_eq!(
            text(With::Pix { expires_after: Duration::from_secs(1_800) }),
            format!(
                "{common}&payment%5Fmethod%5Ftypes%5B%5D=pix&payment%5Fmethod%5Fdata%5Btype%5D=pix\
                 &payment%5Fmethod%5Foptions%5Bpix%5D%5Bexpires%5Fafter%5Fseconds%5D=1800"
            )
        );
    }

    #[test]
    fn nothing_shows_the_secrets_and_no_reference_leaves_its_segment() {
        let api = Api::new("https://x.example/", "sk_secret", vec!["whsec_x".to_owned()]).expect("a client");
        assert!(!format!("{api:?}").contains("sec"), "{api:?}");
        assert!(Api::new("https://x.example", "a\nb", Vec::new()).is_err());
        assert!(segment("pi_1").is_ok());
        for foreign in ["", "../refunds", "pi_1?x", "pi 1"] {
            assert!(segment(foreign).is_err(), "{foreign}");
        }
    }
}
