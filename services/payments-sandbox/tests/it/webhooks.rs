//! What the shop is told, how often, in which order, and whether it is true.

use std::collections::HashSet;

use serde_json::json;

use crate::app::{SOON, Shop, TestSandbox};

#[tokio::test]
async fn what_happens_is_told_once_and_signed() {
    let shop = Shop::open().await;
    let sandbox = TestSandbox::telling(&shop).await;
    let id = sandbox.paid("17").await;
    let told = shop.hears("payment_intent.succeeded", 1).await;
    assert!(told[0].is_genuine());
    let event = told[0].json();
    assert_eq!(
        (event["object"].as_str(), event["data"]["object"]["id"].as_str()),
        (Some("event"), Some(id.as_str()))
    );
    assert_eq!(event["data"]["object"]["status"], "succeeded");
    assert_eq!(event["request"]["idempotency_key"], "mc:17:1:capture");
    testkit::eventually(SOON, "all five", async || (shop.told().len() == 5).then_some(())).await;
    let ids: HashSet<String> = shop.told().iter().map(|told| told.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn a_shop_that_fails_is_told_again() {
    let shop = Shop::open().await;
    let sandbox = TestSandbox::telling(&shop).await;
    sandbox.configure(json!({ "webhooks": { "attempts": 4, "backoff_ms": 10 } })).await;
    shop.refuse_next(3);
    let mut form = crate::app::card("18", "pm_card_visa");
    form.retain(|(name, _)| *name != "confirm");
    sandbox.post("/v1/payment_intents", None, &form).await;
    let told = shop.hears("payment_intent.created", 4).await;
    assert!(told.iter().all(|each| each.is_genuine() && each.json()["id"] == told[0].json()["id"]));
    testkit::eventually(SOON, "that nothing is pending", async || {
        let events = sandbox.get("/__sandbox/events?order_id=18").await.json();
        (events["data"][0]["pending_webhooks"] == 0).then_some(())
    })
    .await;
    assert_eq!(shop.told().len(), 4);
}

#[tokio::test]
async fn copies_come_shuffled() {
    let shop = Shop::open().await;
    let sandbox = TestSandbox::telling(&shop).await;
    sandbox.configure(json!({ "seed": 3, "webhooks": { "copies": 3, "reorder_within_ms": 400 } })).await;
    sandbox.paid("19").await;
    testkit::eventually(SOON, "three of each", async || (shop.told().len() == 15).then_some(())).await;
    let order: Vec<i64> = {
        let happened = sandbox.happened("19").await;
        let place = |kind: String| happened.iter().position(|each| *each == kind).unwrap();
        shop.told().iter().map(|told| i64::try_from(place(told.kind())).unwrap()).collect()
    };
    assert!(order.windows(2).any(|pair| pair[0] > pair[1]), "in order: {order:?}");
}

#[tokio::test]
async fn what_is_dropped_never_comes() {
    let shop = Shop::open().await;
    let sandbox = TestSandbox::telling(&shop).await;
    sandbox.configure(json!({ "webhooks": { "drop_rate": 1.0 } })).await;
    sandbox.paid("20").await;
    sandbox.configure(json!({})).await;
    sandbox.authorize("21", "pm_card_visa").await;
    shop.hears("payment_intent.amount_capturable_updated", 1).await;
    let orders: HashSet<String> = shop
        .told()
        .iter()
        .map(|told| told.json()["data"]["object"]["metadata"]["order_id"].to_string())
        .collect();
    assert_eq!(orders, HashSet::from(["\"21\"".to_owned()]));
}

#[tokio::test]
async fn some_are_forged_and_some_say_what_is_not_so() {
    let shop = Shop::open().await;
    let sandbox = TestSandbox::telling(&shop).await;
    sandbox.configure(json!({ "webhooks": { "wrong_signature_rate": 1.0 } })).await;
    sandbox.authorize("22", "pm_card_visa").await;
    assert!(!shop.hears("payment_intent.amount_capturable_updated", 1).await[0].is_genuine());

    sandbox.configure(json!({ "webhooks": { "wrong_metadata_rate": 1.0 } })).await;
    sandbox.authorize("23", "pm_card_visa").await;
    let told = &shop.hears("payment_intent.amount_capturable_updated", 2).await[1];
    assert!(told.is_genuine());
    assert_eq!(told.json()["data"]["object"]["metadata"]["order_id"], "24");

    sandbox.configure(json!({ "webhooks": { "wrong_amount_rate": 1.0 } })).await;
    sandbox.authorize("25", "pm_card_visa").await;
    let told = &shop.hears("payment_intent.amount_capturable_updated", 3).await[2];
    assert!(told.is_genuine());
    assert_eq!(told.json()["data"]["object"]["amount"], 12_906);
}
