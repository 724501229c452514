//! Money: what is charged, how often, and what becomes of it when parts of the world fail.

mod books;
mod budget;
mod cards;
mod doubts;
mod lost_authorizations;
mod pix;
mod refunds;
mod webhooks;

use std::time::Duration;

use hmac::{Hmac, Mac as _};
use proto::orders::v1::*;
use serde_json::{Value, json};
use sha2::Sha256;
use tonic::{Code, Status};

use crate::app::{TestApp, WEBHOOK_SECRET, Who};

/// Longer than any attempt is unsettled once the provider answers again.
pub(crate) const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// A payment by card.
pub(crate) fn card(order_id: i64, token: &str) -> PayRequest {
    PayRequest {
        order_id,
        method: "card".to_owned(),
        payment_method: token.to_owned(),
        expected_total_amount: None,
        return_url: "https://shop.example/back".to_owned(),
    }
}

/// A payment by Pix.
pub(crate) fn pix(order_id: i64) -> PayRequest {
    PayRequest { order_id, method: "pix".to_owned(), ..PayRequest::default() }
}

/// The route of a payment, as the gateway announces it.
pub(crate) fn route(order_id: i64) -> String {
    format!("POST /api/v1/checkout/{order_id}/payments")
}

/// What the provider did with an order's money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Amounts taken, one each.
    pub(crate) captures: Vec<i64>,
    /// Amounts given back.
    pub(crate) refunds: Vec<i64>,
}

/// A signature of the provider's.
pub(crate) fn sign(secret: &str, at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={hex}")
}

pub(crate) fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

impl TestApp {
    /// Turns the sandbox's knobs; what is left out is as at the start.
    pub(crate) async fn provider_is(&self, knobs: Value) {
        let url = format!("{}/__sandbox/config", self.sandbox);
        let answer = reqwest::Client::new().put(url).body(knobs.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Something happens at the provider: `pix/{}/pay`, `3ds/{}/approve`.
    pub(crate) async fn happens(&self, what: &str) {
        let url = format!("{}/__sandbox/{what}", self.sandbox);
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = client.post(url).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success() || status.is_redirection(), "{what}: {}", answer.text().await.unwrap());
    }

    /// The provider's own books on an order.
    pub(crate) async fn ledger(&self, order_id: i64) -> Ledger {
        let url = format!("{}/__sandbox/ledger?order_id={order_id}", self.sandbox);
        let said: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let amounts = |list: &str| {
            said[list].as_array().unwrap().iter().map(|entry| entry["amount"].as_i64().unwrap()).collect()
        };
        Ledger { captures: amounts("captures"), refunds: amounts("refunds") }
    }

    /// What the provider has to tell of an order, oldest first.
    pub(crate) async fn events_of(&self, order_id: i64) -> Vec<Value> {
        let url = format!("{}/__sandbox/events?order_id={order_id}", self.sandbox);
        let said: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        said["data"].as_array().unwrap().clone()
    }

    /// The provider tells us something, properly signed.
    pub(crate) async fn told(&self, event: &Value) -> Result<(), Status> {
        let body = event.to_string().into_bytes();
        let signature = sign(WEBHOOK_SECRET, now(), &body);
        self.told_with(body, signature).await
    }

    /// The provider, or somebody else, tells us something.
    pub(crate) async fn told_with(&self, body: Vec<u8>, signature: String) -> Result<(), Status> {
        let request = ReceivePaymentEventRequest { provider: "sandbox".to_owned(), body, signature };
        self.receive_payment_event(Who::Nobody, request).await.map(drop)
    }

    /// The provider's name of an order's latest attempt.
    pub(crate) async fn intent_of(&self, order_id: i64) -> String {
        self.value(&format!(
            "SELECT provider_ref FROM payments WHERE order_id = {order_id} ORDER BY attempt DESC LIMIT 1"
        ))
        .await
    }

    /// Status of an order's latest attempt.
    pub(crate) async fn attempt_of(&self, order_id: i64) -> String {
        self.value(&format!(
            "SELECT status FROM payments WHERE order_id = {order_id} ORDER BY attempt DESC LIMIT 1"
        ))
        .await
    }

    /// Waits until a query answers this.
    pub(crate) async fn becomes(&self, query: &str, expected: &str) {
        testkit::eventually(SETTLED_WITHIN, &format!("{query} is {expected}"), async || {
            (self.value(query).await == expected).then_some(())
        })
        .await;
    }

    /// Waits until an order's latest attempt has this status.
    pub(crate) async fn attempt_becomes(&self, order_id: i64, status: &str) {
        self.becomes(
            &format!("SELECT status FROM payments WHERE order_id = {order_id} ORDER BY attempt DESC LIMIT 1"),
            status,
        )
        .await;
    }

    /// Kinds of what was left to people.
    pub(crate) async fn issues(&self) -> String {
        self.value("SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM payment_issues").await
    }

    /// What our books say of an order's money.
    pub(crate) async fn booked(&self, order_id: i64) -> String {
        self.value(&format!(
            "SELECT string_agg(kind || ' ' || amount, ', ' ORDER BY id) FROM ledger WHERE order_id = {order_id}"
        ))
        .await
    }
}

/// What a declined payment says: the code, and whether another card may do.
#[track_caller]
pub(crate) fn declined(answer: Result<PayResponse, Status>) -> (String, String) {
    let status = answer.expect_err("the payment was declined");
    let word = |name: &str| status.metadata().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!((status.code(), word("mc-reason").as_str()), (Code::FailedPrecondition, "payment_declined"));
    (word("mc-decline-code"), word("mc-retryable"))
}

/// One kind of fault, always (1) or never (0).
pub(crate) fn faults(name: &str, rate: u8) -> Value {
    json!({ "faults": { name: rate } })
}
