//! Promises of money that the provider takes back after the goods were taken for them.

use std::time::Duration;

use serde_json::json;

use super::card;
use crate::app::{ANA, PAYMENTS_SECRET, TestApp};

/// So long that there is time to take the promise back between the authorisation and the capture.
const LATENCY: Duration = Duration::from_millis(900);

impl TestApp {
    /// The provider gives up an intent by itself: its authorisation has run out, or the bank took it back.
    async fn authorization_is_lost(&self, order_id: i64) {
        let reference =
            self.value(&format!("SELECT provider_ref FROM payments WHERE order_id = {order_id}")).await;
        let url = format!("{}/v1/payment_intents/{reference}/cancel", self.sandbox);
        let request = reqwest::Client::new().post(url).bearer_auth(PAYMENTS_SECRET);
        let answer = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("idempotency-key", format!("lost-{order_id}"))
            .body("cancellation_reason=abandoned")
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_is_lost_before_the_capture_sells_nothing() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 3)]).await;
    let latency = u64::try_from(LATENCY.as_millis()).unwrap();
    app.provider_is(json!({ "latency": { "kind": "fixed", "ms": latency } })).await;
    let losing = async {
        // The goods are taken in the transaction that notes the authorisation; the capture is on its way.
        app.attempt_becomes(order.id, "requires_capture").await;
        assert_eq!(app.stock(1).await, (7, 0), "taken for money that is promised");
        app.provider_is(json!({})).await;
        app.authorization_is_lost(order.id).await;
    };
    let (answer, ()) = tokio::join!(app.pay(ANA, card(order.id, "pm_card_visa")), losing);
    if let Ok(reply) = answer {
        assert_ne!(reply.payment.unwrap().status, "succeeded");
        assert_ne!(reply.order.unwrap().status, "paid");
    }

    app.attempt_becomes(order.id, "canceled").await;
    let ledger = app.ledger(order.id).await;
    assert_eq!((ledger.captures, ledger.refunds), (Vec::new(), Vec::new()), "nobody was charged");
    let total = order.total_amount;
    assert_eq!(app.booked(order.id).await, format!("authorize {total}, void {total}"));
    assert_eq!(app.stock(1).await, (10, 0), "the goods are back on the shelf");
    let steps = format!(
        "SELECT string_agg(to_status, ' ' ORDER BY seq) FROM order_history WHERE order_id = {}",
        order.id
    );
    let steps = app.value(&steps).await;
    assert!(!steps.split(' ').any(|status| status == "paid"), "{steps}");
    // There is nothing left to be paid for: the goods may be somebody else's by now.
    assert_eq!(app.seen(ANA, order.id).await.status, "cancelled");
    let last = app.seen(ANA, order.id).await.history.pop().unwrap();
    assert_eq!((last.actor.as_str(), last.to_status.as_str()), ("provider", "cancelled"));
    app.check_books().await;
}
