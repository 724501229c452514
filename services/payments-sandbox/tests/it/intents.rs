//! Card payments: authorised, captured, declined, cancelled, refused.

use bootstrap::config::Environment;
use payments_sandbox::{App, Config};
use serde_json::json;

use crate::app::{SECRET, TestSandbox, WEBHOOK_SECRET, card};

#[tokio::test]
async fn a_card_is_authorised_and_then_captured() {
    let sandbox = TestSandbox::start().await;
    let authorised = sandbox.authorize("17", "pm_card_visa").await;
    assert_eq!(authorised.status, 200);
    let intent = authorised.json();
    assert_eq!(intent["object"], "payment_intent");
    assert_eq!(intent["status"], "requires_capture");
    assert_eq!((&intent["amount_capturable"], &intent["amount_received"]), (&json!(12905), &json!(0)));
    assert_eq!(intent["metadata"], json!({ "order_id": "17", "attempt": "1" }));
    assert_eq!(intent["next_action"], json!(null));

    let captured = sandbox.capture("17", &authorised.id()).await.json();
    assert_eq!(captured["status"], "succeeded");
    assert_eq!((&captured["amount_capturable"], &captured["amount_received"]), (&json!(0), &json!(12905)));
    assert_eq!(captured["latest_charge"], intent["latest_charge"]);

    let ledger = sandbox.ledger("17").await;
    assert_eq!(ledger["charges"].as_array().unwrap().len(), 1);
    assert_eq!(ledger["charges"][0]["status"], "succeeded");
    assert_eq!(ledger["charges"][0]["provider_key"], "mc:17:1:create");
    assert_eq!(ledger["captures"][0]["provider_key"], "mc:17:1:capture");
    assert_eq!(ledger["captures"][0]["amount"], 12905);
    assert_eq!(ledger["refunds"], json!([]));
    assert_eq!(
        sandbox.happened("17").await,
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.amount_capturable_updated",
            "charge.captured",
            "payment_intent.succeeded"
        ]
    );
    let expanded =
        sandbox.get(&format!("/v1/payment_intents/{}?expand[]=latest_charge", authorised.id())).await;
    assert_eq!(expanded.json()["latest_charge"]["amount_captured"], 12905);
    let charge = sandbox.get(&format!("/v1/charges/{}", captured["latest_charge"].as_str().unwrap())).await;
    assert_eq!(charge.json()["captured"], true);
}

#[tokio::test]
async fn automatic_capture_takes_the_money_at_once() {
    let sandbox = TestSandbox::start().await;
    let mut form = card("18", "pm_card_visa");
    form.retain(|(name, _)| *name != "capture_method");
    let intent = sandbox.post("/v1/payment_intents", None, &form).await;
    assert_eq!(intent.text_at("/status"), "succeeded");
    assert_eq!(sandbox.happened("18").await.last().unwrap(), "payment_intent.succeeded");
}

#[tokio::test]
async fn a_decline_is_402_and_the_intent_can_be_paid_with_another_card() {
    let sandbox = TestSandbox::start().await;
    let declined = sandbox.authorize("19", "pm_card_chargeDeclinedInsufficientFunds").await;
    assert_eq!(declined.status, 402);
    let error = &declined.json()["error"];
    assert_eq!(error["type"], "card_error");
    assert_eq!(
        (&error["code"], &error["decline_code"]),
        (&json!("card_declined"), &json!("insufficient_funds"))
    );
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert_eq!(error["payment_intent"]["last_payment_error"]["decline_code"], "insufficient_funds");
    let ledger = sandbox.ledger("19").await;
    assert_eq!(ledger["charges"][0]["status"], "failed");
    assert_eq!(ledger["captures"], json!([]));

    let id = declined.text_at("/error/payment_intent/id");
    let path = format!("/v1/payment_intents/{id}/confirm");
    let paid = sandbox.post(&path, None, &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(paid.text_at("/status"), "requires_capture");
    assert_eq!(paid.json()["last_payment_error"], json!(null));
    assert!(sandbox.happened("19").await.contains(&"payment_intent.payment_failed".to_owned()));
}

#[tokio::test]
async fn what_was_cancelled_is_never_charged() {
    let sandbox = TestSandbox::start().await;
    let id = sandbox.authorize("20", "pm_card_visa").await.id();
    let path = format!("/v1/payment_intents/{id}/cancel");
    let cancelled = sandbox.post(&path, None, &[("cancellation_reason", "abandoned")]).await;
    assert_eq!(cancelled.text_at("/status"), "canceled");
    let refused = sandbox.capture("20", &id).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.text_at("/error/code"), "payment_intent_unexpected_state");
    assert_eq!(refused.text_at("/error/payment_intent/status"), "canceled");
    let ledger = sandbox.ledger("20").await;
    assert_eq!(ledger["charges"][0]["status"], "released");
    assert_eq!(ledger["captures"], json!([]));
    assert_eq!(sandbox.post(&path, None, &[]).await.status, 400, "cancelled twice");
}

#[tokio::test]
async fn no_more_than_authorised_is_captured() {
    let sandbox = TestSandbox::start().await;
    let id = sandbox.authorize("21", "pm_card_visa").await.id();
    let path = format!("/v1/payment_intents/{id}/capture");
    let refused = sandbox.post(&path, None, &[("amount_to_capture", "12906")]).await;
    assert_eq!((refused.status, refused.text_at("/error/code").as_str()), (400, "amount_too_large"));
    let part = sandbox.post(&path, None, &[("amount_to_capture", "12000")]).await.json();
    assert_eq!(part["amount_received"], 12000);
    assert_eq!(sandbox.post(&path, None, &[]).await.status, 400, "captured twice");
}

#[tokio::test]
async fn a_card_that_is_thought_about_is_approved_later() {
    let sandbox = TestSandbox::start().await;
    let intent = sandbox.authorize("22", "pm_sandbox_processing_50").await;
    assert_eq!(intent.text_at("/status"), "processing");
    testkit::eventually(crate::app::SOON, "an approval", async || {
        let now = sandbox.get(&format!("/v1/payment_intents/{}", intent.id())).await;
        (now.text_at("/status") == "requires_capture").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_parameter() {
    let sandbox = TestSandbox::start().await;
    let check = async |name: &str, value: &str, code: &str| {
        let mut form = card("23", "pm_card_visa");
        form.retain(|(each, _)| *each != name);
        form.push((name, value));
        let refused = sandbox.post("/v1/payment_intents", None, &form).await;
        assert_eq!(refused.status, 400, "{name}={value}: {}", refused.text);
        assert_eq!(refused.text_at("/error/code"), code, "{name}={value}");
        assert_eq!(refused.text_at("/error/type"), "invalid_request_error");
    };
    check("amount", "0", "parameter_invalid_integer").await;
    check("amount", "-1", "parameter_invalid_integer").await;
    check("amount", "1.5", "parameter_invalid_integer").await;
    check("amount", "49", "amount_too_small").await;
    check("amount", "100000000", "amount_too_large").await;
    check("amount", "", "parameter_missing").await;
    check("currency", "", "parameter_missing").await;
    check("payment_method", "pm_nobody", "resource_missing").await;
    check("payment_method", "4242424242424242", "resource_missing").await;
    check("capture_method", "later", "parameter_invalid").await;
    check("confirm", "yes", "parameter_invalid_boolean").await;
    check("return_url", "javascript:alert(1)", "url_invalid").await;
    check("surprise", "1", "parameter_unknown").await;
    assert_eq!(sandbox.ledger("23").await["charges"], json!([]));

    let unknown = sandbox.get("/v1/payment_intents/pi_nobody").await;
    assert_eq!((unknown.status, unknown.text_at("/error/code").as_str()), (404, "resource_missing"));
    assert_eq!(sandbox.get("/v1/customers").await.status, 404);
}

#[tokio::test]
async fn only_the_bearer_of_the_secret_is_answered() {
    let sandbox = TestSandbox::start().await;
    for secret in ["", "sk_test_sandbo", "sk_test_sandboX", "sk_test_sandbox2"] {
        let url = sandbox.url("/v1/payment_intents");
        let asked = sandbox.client().post(url).bearer_auth(secret).form(&card("24", "pm_card_visa"));
        assert_eq!(asked.send().await.unwrap().status(), 401, "{secret:?}");
    }
    let asked = sandbox.client().get(sandbox.url("/v1/payment_intents")).send().await.unwrap();
    assert_eq!(asked.status(), 401);
    assert_eq!(sandbox.ledger("24").await["charges"], json!([]));
}

#[tokio::test]
async fn it_does_not_run_in_production() {
    let config =
        Config { environment: Environment::Production, ..Config::in_process(SECRET, WEBHOOK_SECRET) };
    let refused = App::build(config).await.unwrap_err();
    assert!(refused.to_string().contains("does not run in production"), "{refused}");
}
