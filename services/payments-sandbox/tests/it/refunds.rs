//! Money goes back, and never more than came.

use serde_json::json;

use crate::app::{SOON, TestSandbox};

#[tokio::test]
async fn parts_are_given_back_until_nothing_is_left() {
    let sandbox = TestSandbox::start().await;
    let id = sandbox.paid("17").await;
    let intent = ("payment_intent", id.as_str());
    let part = sandbox
        .post(
            "/v1/refunds",
            Some("mc:17:1:refund:1"),
            &[intent, ("amount", "2905"), ("reason", "requested_by_customer")],
        )
        .await;
    assert_eq!((part.status, part.text_at("/status").as_str()), (200, "succeeded"));
    assert_eq!(part.json()["amount"], 2905);
    let again = sandbox
        .post(
            "/v1/refunds",
            Some("mc:17:1:refund:1"),
            &[intent, ("amount", "2905"), ("reason", "requested_by_customer")],
        )
        .await;
    assert_eq!((again.replayed, &again.text), (true, &part.text));
    let much = sandbox.post("/v1/refunds", Some("k"), &[intent, ("amount", "10001")]).await;
    assert_eq!((much.status, much.text_at("/error/code").as_str()), (400, "amount_too_large"));
    let rest = sandbox.post("/v1/refunds", Some("mc:17:1:refund:2"), &[intent]).await;
    assert_eq!(rest.json()["amount"], 10_000);
    let nothing = sandbox.post("/v1/refunds", Some("mc:17:1:refund:3"), &[intent]).await;
    assert_eq!(nothing.text_at("/error/code"), "charge_already_refunded");

    let ledger = sandbox.ledger("17").await;
    assert_eq!(ledger["charges"][0]["amount_refunded"], 12_905);
    let keys: Vec<_> =
        ledger["refunds"].as_array().unwrap().iter().map(|refund| &refund["provider_key"]).collect();
    assert_eq!(keys, [&json!("mc:17:1:refund:1"), &json!("mc:17:1:refund:2")]);
    let listed = sandbox.get(&format!("/v1/refunds?payment_intent={id}")).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let one = sandbox.get(&format!("/v1/refunds/{}", part.id())).await;
    assert_eq!(one.json()["amount"], 2905);
    assert!(sandbox.happened("17").await.contains(&"charge.refunded".to_owned()));
}

#[tokio::test]
async fn a_hundred_at_once_give_back_what_there_is() {
    let sandbox = TestSandbox::start().await;
    let id = sandbox.paid("18").await;
    let keys: Vec<String> = (0..100).map(|index| format!("refund:{index}")).collect();
    let form = [("payment_intent", id.as_str())];
    let asked = keys.iter().map(|key| sandbox.post("/v1/refunds", Some(key), &form));
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(sandbox.ledger("18").await["charges"][0]["amount_refunded"], 12_905);
}

#[tokio::test]
async fn what_was_never_captured_is_not_refunded() {
    let sandbox = TestSandbox::start().await;
    let id = sandbox.authorize("19", "pm_card_visa").await.id();
    let refused = sandbox.post("/v1/refunds", None, &[("payment_intent", &id)]).await;
    assert_eq!(refused.text_at("/error/code"), "payment_intent_unexpected_state");
    assert_eq!(sandbox.post("/v1/refunds", None, &[("payment_intent", "pi_nobody")]).await.status, 404);
    assert_eq!(sandbox.post("/v1/refunds", None, &[]).await.status, 400);
}

#[tokio::test]
async fn a_refund_may_take_its_time() {
    let sandbox = TestSandbox::start().await;
    sandbox.configure(json!({ "refund_pending_ms": 50 })).await;
    let id = sandbox.paid("20").await;
    let refund = sandbox.post("/v1/refunds", None, &[("payment_intent", &id)]).await;
    assert_eq!(refund.text_at("/status"), "pending");
    testkit::eventually(SOON, "the refund", async || {
        let now = sandbox.get(&format!("/v1/refunds/{}", refund.id())).await;
        (now.text_at("/status") == "succeeded").then_some(())
    })
    .await;
    assert!(sandbox.happened("20").await.contains(&"refund.updated".to_owned()));
}

#[tokio::test]
async fn a_holder_disputes_and_the_end_is_told() {
    let sandbox = TestSandbox::start().await;
    let id = sandbox.paid("21").await;
    assert_eq!(sandbox.post(&format!("/__sandbox/disputes/{id}/lost"), None, &[]).await.status, 400);
    for what in ["open", "lost"] {
        assert_eq!(sandbox.post(&format!("/__sandbox/disputes/{id}/{what}"), None, &[]).await.status, 200);
    }
    let happened = sandbox.happened("21").await;
    assert_eq!(happened[happened.len() - 2..], ["charge.dispute.created", "charge.dispute.closed"]);
}

#[tokio::test]
async fn a_refund_comes_back_once() {
    let sandbox = TestSandbox::start().await;
    let id = sandbox.paid("22").await;
    let refund = sandbox.post("/v1/refunds", None, &[("payment_intent", &id)]).await.id();
    let fails = format!("/__sandbox/refunds/{refund}/fail");
    assert_eq!(sandbox.post(&fails, None, &[]).await.status, 200);
    assert_eq!(sandbox.post(&fails, None, &[]).await.status, 400);
    assert_eq!(sandbox.get(&format!("/v1/refunds/{refund}")).await.text_at("/status"), "failed");
    assert!(sandbox.happened("22").await.contains(&"refund.failed".to_owned()));
    assert_eq!(sandbox.post("/__sandbox/refunds/re_nobody/fail", None, &[]).await.status, 404);
}

#[tokio::test]
async fn refunds_are_refused_as_they_are_told_to_be() {
    let sandbox = TestSandbox::start().await;
    let id = sandbox.paid("23").await;
    sandbox.configure(json!({ "refund_refusal": "balance_insufficient" })).await;
    let form = [("payment_intent", id.as_str())];
    let refused = sandbox.post("/v1/refunds", Some("k"), &form).await;
    assert_eq!((refused.status, refused.text_at("/error/code").as_str()), (400, "balance_insufficient"));
    sandbox.configure(json!({})).await;
    let again = sandbox.post("/v1/refunds", Some("k"), &form).await;
    assert_eq!((again.status, again.replayed), (400, true), "the key remembers");
    assert_eq!(sandbox.post("/v1/refunds", Some("k:1"), &form).await.status, 200);
}
