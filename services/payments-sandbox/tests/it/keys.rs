//! Idempotency keys.

use std::time::Duration;

use serde_json::json;

use crate::app::{Answer, TestSandbox, card, faults};

#[tokio::test]
async fn a_repetition_is_answered_byte_for_byte() {
    let sandbox = TestSandbox::start().await;
    let first = sandbox.authorize("17", "pm_card_visa").await;
    let again = sandbox.authorize("17", "pm_card_visa").await;
    assert!(!first.replayed && again.replayed);
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    sandbox.capture("17", &first.id()).await;
    let later = sandbox.authorize("17", "pm_card_visa").await;
    assert_eq!(later.text, first.text, "what is true by now is not what was answered");
    assert_eq!(sandbox.ledger("17").await["charges"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_decline_is_repeated_too() {
    let sandbox = TestSandbox::start().await;
    let first = sandbox.authorize("18", "pm_card_chargeDeclined").await;
    let again = sandbox.authorize("18", "pm_card_chargeDeclined").await;
    assert_eq!((again.status, again.replayed, &again.text), (402, true, &first.text));
    assert_eq!(sandbox.ledger("18").await["charges"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_parameters_and_its_operation() {
    let sandbox = TestSandbox::start().await;
    let id = sandbox.authorize("19", "pm_card_visa").await.id();
    let error = |answer: Answer| (answer.status, answer.text_at("/error/type"));
    let other_card = sandbox.authorize("19", "pm_card_mastercard").await;
    assert_eq!(error(other_card), (400, "idempotency_error".to_owned()));
    let capture = format!("/v1/payment_intents/{id}/capture");
    let other_operation = sandbox.post(&capture, Some("mc:19:1:create"), &[]).await;
    assert_eq!(error(other_operation), (400, "idempotency_error".to_owned()));
    assert_eq!(sandbox.ledger("19").await["captures"], json!([]));
    let mut shuffled = card("19", "pm_card_visa");
    shuffled.reverse();
    assert!(sandbox.post("/v1/payment_intents", Some("mc:19:1:create"), &shuffled).await.replayed);
}

#[tokio::test]
async fn of_simultaneous_requests_one_is_served_and_the_others_are_told_so() {
    let sandbox = TestSandbox::start().await;
    sandbox.configure(json!({ "latency": { "kind": "fixed", "ms": 500 } })).await;
    let form = card("20", "pm_card_visa");
    let asked = (0..20).map(|_| sandbox.post("/v1/payment_intents", Some("mc:20:1:create"), &form));
    let answers = futures_util::future::join_all(asked).await;
    let served = answers.iter().filter(|answer| answer.status == 200 && !answer.replayed).count();
    assert_eq!(served, 1);
    let colliding: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 409).collect();
    assert!(!colliding.is_empty());
    assert!(colliding.iter().all(|answer| answer.text_at("/error/code") == "idempotency_key_in_use"));
    // A collision is not the key's result.
    let again = sandbox.post("/v1/payment_intents", Some("mc:20:1:create"), &form).await;
    assert_eq!((again.status, again.replayed), (200, true));
    assert_eq!(sandbox.ledger("20").await["charges"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_that_made_no_sense_leaves_its_key_free() {
    let sandbox = TestSandbox::start().await;
    let key = Some("mc:21:1:create");
    assert_eq!(sandbox.post("/v1/payment_intents", key, &[("amount", "x")]).await.status, 400);
    assert_eq!(sandbox.post("/v1/payment_intents/pi_nobody/capture", key, &[]).await.status, 404);
    let sensible = sandbox.authorize("21", "pm_card_visa").await;
    assert_eq!((sensible.status, sensible.replayed), (200, false));
}

#[tokio::test]
async fn a_500_is_the_result_of_its_key() {
    let sandbox = TestSandbox::start().await;
    sandbox.configure(faults(json!({ "before_effect": 1.0 }), "reset")).await;
    let first = sandbox.authorize("22", "pm_card_visa").await;
    assert_eq!((first.status, first.text_at("/error/type").as_str()), (500, "api_error"));
    sandbox.configure(json!({})).await;
    let again = sandbox.authorize("22", "pm_card_visa").await;
    assert_eq!((again.status, again.replayed, &again.text), (500, true, &first.text));
    assert_eq!(sandbox.ledger("22").await["charges"], json!([]));
}

#[tokio::test]
async fn keys_have_up_to_255_characters() {
    let sandbox = TestSandbox::start().await;
    let form = card("23", "pm_card_visa");
    let long = "k".repeat(256);
    assert_eq!(sandbox.post("/v1/payment_intents", Some(&long), &form).await.status, 400);
    assert_eq!(sandbox.post("/v1/payment_intents", Some(&long[1..]), &form).await.status, 200);
}

#[tokio::test]
async fn a_caller_that_left_finds_the_work_done() {
    let sandbox = TestSandbox::start().await;
    sandbox.configure(json!({ "latency": { "kind": "fixed", "ms": 200 } })).await;
    let form = card("24", "pm_card_visa");
    let key = Some("mc:24:1:create");
    let impatient =
        tokio::time::timeout(Duration::from_millis(100), sandbox.post("/v1/payment_intents", key, &form));
    assert!(impatient.await.is_err(), "answered too early");
    let answer = testkit::eventually(crate::app::SOON, "the first result", async || {
        let answer = sandbox.post("/v1/payment_intents", key, &form).await;
        (answer.status != 409).then_some(answer)
    })
    .await;
    assert!(answer.replayed);
    assert_eq!(sandbox.ledger("24").await["charges"].as_array().unwrap().len(), 1);
}
