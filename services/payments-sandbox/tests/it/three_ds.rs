//! 3-D Secure: the buyer goes to the bank, and comes back.

use serde_json::json;

use crate::app::{Answer, TestSandbox};

async fn asked(sandbox: &TestSandbox, order: &str) -> Answer {
    sandbox.authorize(order, "pm_card_authenticationRequired").await
}

#[tokio::test]
async fn a_buyer_approves_in_the_browser_and_comes_back() {
    let sandbox = TestSandbox::start().await;
    let intent = asked(&sandbox, "17").await;
    assert_eq!((intent.status, intent.text_at("/status").as_str()), (200, "requires_action"));
    assert_eq!(intent.text_at("/next_action/type"), "redirect_to_url");
    let back = intent.text_at("/next_action/redirect_to_url/return_url");
    assert_eq!(back, "https://shop.example/back?from=bank");
    let bank = intent.text_at("/next_action/redirect_to_url/url");

    let page = sandbox.client().get(&bank).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(&format!("action=\"/__sandbox/3ds/{}/approve\"", intent.id())), "{page}");
    assert!(page.contains("BRL 129.05"));
    let pressed =
        sandbox.client().post(format!("{bank}/approve")).header("Accept", "text/html").send().await.unwrap();
    assert_eq!(pressed.status(), 303);
    let location = pressed.headers()["location"].to_str().unwrap();
    assert!(location.starts_with("https://shop.example/back?from=bank&payment_intent=pi_"), "{location}");
    assert!(location.ends_with("&redirect_status=succeeded"), "{location}");
    let now = sandbox.get(&format!("/v1/payment_intents/{}", intent.id())).await;
    assert_eq!(now.text_at("/status"), "requires_capture");
    assert_eq!(sandbox.ledger("17").await["charges"][0]["provider_key"], "mc:17:1:create");
}

#[tokio::test]
async fn a_bank_that_does_not_know_the_holder_lets_nobody_pay() {
    let sandbox = TestSandbox::start().await;
    let intent = asked(&sandbox, "18").await;
    let failed = sandbox.post(&format!("/__sandbox/3ds/{}/fail", intent.id()), None, &[]).await;
    assert_eq!(failed.text_at("/status"), "requires_payment_method");
    assert_eq!(failed.text_at("/last_payment_error/code"), "payment_intent_authentication_failure");
    let late = sandbox.post(&format!("/__sandbox/3ds/{}/approve", intent.id()), None, &[]).await;
    assert_eq!(late.status, 400, "approved after it failed");
    assert_eq!(sandbox.ledger("18").await["charges"], json!([]));
}

#[tokio::test]
async fn an_approval_is_given_once() {
    let sandbox = TestSandbox::start().await;
    let intent = asked(&sandbox, "19").await;
    let path = format!("/__sandbox/3ds/{}/approve", intent.id());
    let approvals = (0..10).map(|_| sandbox.post(&path, None, &[]));
    let answers = futures_util::future::join_all(approvals).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(sandbox.ledger("19").await["charges"].as_array().unwrap().len(), 1);
}
