//! Trouble on demand.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{TestSandbox, card, faults};

#[tokio::test]
async fn a_lost_answer_was_a_charge_and_its_repetition_tells_it() {
    let sandbox = TestSandbox::start().await;
    sandbox.configure(faults(json!({ "after_effect_before_answer": 1.0 }), "reset")).await;
    let form = card("17", "pm_card_visa");
    let key = Some("mc:17:1:create");
    sandbox.try_post("/v1/payment_intents", key, &form).await.unwrap_err();
    assert_eq!(sandbox.ledger("17").await["charges"][0]["status"], "authorized");
    let again = sandbox.post("/v1/payment_intents", key, &form).await;
    assert_eq!((again.status, again.replayed), (200, true));
    assert_eq!(sandbox.ledger("17").await["charges"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_lost_as_a_500_stays_a_500_and_can_be_found_by_its_order() {
    let sandbox = TestSandbox::start().await;
    sandbox.configure(faults(json!({ "after_effect_before_answer": 1.0 }), "error")).await;
    assert_eq!(sandbox.authorize("18", "pm_card_visa").await.status, 500);
    sandbox.configure(json!({})).await;
    let again = sandbox.authorize("18", "pm_card_visa").await;
    assert_eq!((again.status, again.replayed), (500, true));
    let found = sandbox.get("/v1/payment_intents/search?query=metadata%5B'order_id'%5D:'18'").await.json();
    assert_eq!(found["data"][0]["status"], "requires_capture");
}

#[tokio::test]
async fn a_reset_connection_did_nothing_and_kept_nothing() {
    let sandbox = TestSandbox::start().await;
    sandbox.configure(faults(json!({ "reset_connection": 1.0 }), "reset")).await;
    let form = card("19", "pm_card_visa");
    let error = sandbox.try_post("/v1/payment_intents", Some("k"), &form).await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    assert_eq!(sandbox.ledger("19").await["charges"], json!([]));
    sandbox.configure(json!({})).await;
    let first = sandbox.post("/v1/payment_intents", Some("k"), &form).await;
    assert_eq!((first.status, first.replayed), (200, false));
}

#[tokio::test]
async fn tokens_lose_answers_too() {
    let sandbox = TestSandbox::start().await;
    let form = card("20", "pm_sandbox_timeout_after_charge");
    let silent = sandbox.post("/v1/payment_intents", Some("mc:20:1:create"), &form);
    assert!(tokio::time::timeout(Duration::from_millis(300), silent).await.is_err(), "answered");
    assert_eq!(sandbox.ledger("20").await["charges"][0]["status"], "authorized");
    let again = sandbox.authorize("20", "pm_sandbox_timeout_after_charge").await;
    assert_eq!((again.status, again.replayed), (200, true));

    let broken = sandbox.authorize("21", "pm_sandbox_500_after_charge").await;
    assert_eq!(broken.status, 500);
    assert_eq!(sandbox.ledger("21").await["charges"][0]["status"], "authorized");
}

#[tokio::test]
async fn latency_is_felt_and_a_hang_ends_with_the_configuration() {
    let sandbox = TestSandbox::start().await;
    let started = Instant::now();
    sandbox.authorize("22", "pm_sandbox_slow_150").await;
    assert!(started.elapsed() >= Duration::from_millis(150));
    sandbox.configure(json!({ "latency": { "kind": "hang" } })).await;
    let mut hanging = std::pin::pin!(sandbox.authorize("23", "pm_card_visa"));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut hanging).await.is_err(), "did not hang");
    assert_eq!(sandbox.ledger("23").await["charges"], json!([]));
    sandbox.configure(json!({})).await;
    assert_eq!(hanging.await.status, 200);
}

#[tokio::test]
async fn a_run_replays_from_its_seed() {
    let sandbox = TestSandbox::start().await;
    let mut runs: Vec<Vec<u16>> = Vec::new();
    for seed in [7, 7, 8] {
        let knobs = json!({ "seed": seed, "decline_rate": 0.5, "decline_codes": ["insufficient_funds"] });
        sandbox.get("/health/ready").await;
        sandbox.client().post(sandbox.url("/__sandbox/reset")).send().await.unwrap();
        sandbox.configure(knobs).await;
        let mut run = Vec::new();
        for order in 0..40 {
            run.push(sandbox.authorize(&order.to_string(), "pm_card_visa").await.status);
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!(runs[0].contains(&200) && runs[0].contains(&402));
}

#[tokio::test]
async fn the_configuration_is_shown_and_checked() {
    let sandbox = TestSandbox::start().await;
    sandbox.configure(json!({ "decline_rate": 0.25 })).await;
    let shown: Value = sandbox.get("/__sandbox/config").await.json();
    assert_eq!((&shown["decline_rate"], &shown["webhooks"]["attempts"]), (&json!(0.25), &json!(5)));
    sandbox.configure(shown).await;
    let put = sandbox.client().put(sandbox.url("/__sandbox/config")).json(&json!({ "decline_rate": 2 }));
    assert_eq!(put.send().await.unwrap().status(), 400);
}
