//! Pix: a code to be paid, in time, late, or never.

use serde_json::json;

use crate::app::{Answer, SOON, TestSandbox};

fn form<'a>(order: &'a str, expires_after_s: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("amount", "4990"),
        ("currency", "brl"),
        ("payment_method_types[]", "pix"),
        ("payment_method_data[type]", "pix"),
        ("confirm", "true"),
        ("payment_method_options[pix][expires_after_seconds]", expires_after_s),
        ("metadata[order_id]", order),
    ]
}

async fn shown(sandbox: &TestSandbox, order: &str) -> Answer {
    let key = format!("mc:{order}:1:create");
    sandbox.post("/v1/payment_intents", Some(&key), &form(order, "1800")).await
}

async fn happens(sandbox: &TestSandbox, id: &str, what: &str) -> Answer {
    sandbox.post(&format!("/__sandbox/pix/{id}/{what}"), None, &[]).await
}

#[tokio::test]
async fn a_code_is_shown_and_paid() {
    let sandbox = TestSandbox::start().await;
    let intent = shown(&sandbox, "17").await;
    assert_eq!(intent.text_at("/status"), "requires_action");
    let action = &intent.json()["next_action"];
    assert_eq!(action["type"], "pix_display_qr_code");
    let qr = &action["pix_display_qr_code"];
    assert!(qr["data"].as_str().unwrap().starts_with("000201"));
    assert!(qr["data"].as_str().unwrap().contains("540549.90"));
    let left = qr["expires_at"].as_i64().unwrap() - intent.json()["created"].as_i64().unwrap();
    assert!((1800..=1801).contains(&left));
    let image = sandbox.client().get(qr["image_url_png"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(
        (image.status().as_u16(), &image.headers()["content-type"]),
        (200, &"image/svg+xml".parse().unwrap())
    );
    let page = sandbox.client().get(qr["hosted_instructions_url"].as_str().unwrap()).send().await.unwrap();
    assert!(page.text().await.unwrap().contains(qr["data"].as_str().unwrap()));

    let paid = happens(&sandbox, &intent.id(), "pay").await;
    assert_eq!(paid.text_at("/status"), "succeeded");
    assert_eq!(paid.json()["amount_received"], 4990);
    let ledger = sandbox.ledger("17").await;
    assert_eq!(ledger["charges"][0]["provider_key"], "mc:17:1:create");
    assert_eq!(ledger["captures"][0]["amount"], 4990);
    assert_eq!(happens(&sandbox, &intent.id(), "pay").await.status, 400, "paid twice");
    assert_eq!(sandbox.ledger("17").await["captures"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_has_expired_or_was_cancelled_can_still_be_paid() {
    let sandbox = TestSandbox::start().await;
    let expired = shown(&sandbox, "18").await.id();
    let intent = happens(&sandbox, &expired, "expire").await;
    assert_eq!(intent.text_at("/status"), "requires_payment_method");
    assert_eq!(intent.text_at("/last_payment_error/code"), "payment_intent_payment_attempt_expired");
    assert_eq!(happens(&sandbox, &expired, "pay").await.text_at("/status"), "succeeded");

    let cancelled = shown(&sandbox, "19").await.id();
    sandbox.post(&format!("/v1/payment_intents/{cancelled}/cancel"), None, &[]).await;
    assert_eq!(happens(&sandbox, &cancelled, "pay").await.text_at("/status"), "succeeded");
    assert_eq!(sandbox.ledger("19").await["captures"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_code_expires_by_itself() {
    let sandbox = TestSandbox::start().await;
    let path = "/v1/payment_intents";
    let short = sandbox.post(path, None, &form("20", "9")).await;
    assert_eq!(short.status, 400, "the provider's shortest is ten seconds");
    let intent = sandbox.post(path, None, &form("20", "10")).await;
    let patience = SOON + std::time::Duration::from_secs(10);
    testkit::eventually(patience, "its end", async || {
        let now = sandbox.get(&format!("{path}/{}", intent.id())).await;
        (now.text_at("/status") == "requires_payment_method").then_some(())
    })
    .await;
    assert_eq!(sandbox.happened("20").await.last().unwrap(), "payment_intent.payment_failed");
}

#[tokio::test]
async fn a_pix_is_in_reais_and_never_authorised_only() {
    let sandbox = TestSandbox::start().await;
    for (name, value) in [("currency", "usd"), ("capture_method", "manual")] {
        let mut form = form("21", "1800");
        form.retain(|(each, _)| *each != name);
        form.push((name, value));
        assert_eq!(sandbox.post("/v1/payment_intents", None, &form).await.status, 400, "{name}");
    }
    assert_eq!(sandbox.ledger("21").await["charges"], json!([]));
    let card = sandbox.authorize("22", "pm_card_visa").await.id();
    assert_eq!(happens(&sandbox, &card, "pay").await.status, 400, "a card is not paid by Pix");
}
