//! A sandbox that is killed remembers everything it said.

use std::io::Write as _;

use payments_sandbox::Config;
use serde_json::json;

use crate::app::{SECRET, Shop, TestSandbox, WEBHOOK_SECRET};

#[tokio::test]
async fn a_kill_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    let shop = Shop::open().await;
    let config = |webhook_url| Config {
        state_file: Some(file.clone()),
        webhook_url,
        ..Config::in_process(SECRET, WEBHOOK_SECRET)
    };

    // Nobody listens at first, and the second event waits for its time.
    let sandbox = TestSandbox::with(config(Some("http://127.0.0.1:9/".to_owned()))).await;
    sandbox.configure(json!({ "seed": 5, "webhooks": { "backoff_ms": 60_000 } })).await;
    let created = sandbox.authorize("17", "pm_card_visa").await;
    let captured = sandbox.capture("17", &created.id()).await;
    let ledger = sandbox.ledger("17").await;
    drop(sandbox);
    // A change that was being written when the process was killed.
    std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"[{\"int\xc3").unwrap();

    let sandbox = TestSandbox::with(config(Some(shop.url()))).await;
    assert_eq!(sandbox.ledger("17").await, ledger);
    assert_eq!(sandbox.get("/__sandbox/config").await.json()["seed"], 5);
    let again = sandbox.capture("17", &created.id()).await;
    assert_eq!((again.replayed, &again.text), (true, &captured.text));
    let told = shop.hears("payment_intent.succeeded", 1).await;
    assert!(told[0].is_genuine());
    drop(sandbox);

    let sandbox = TestSandbox::with(config(None)).await;
    assert_eq!(sandbox.ledger("17").await, ledger);
    sandbox.client().post(sandbox.url("/__sandbox/reset")).send().await.unwrap();
    drop(sandbox);
    let sandbox = TestSandbox::with(config(None)).await;
    assert_eq!(sandbox.ledger("17").await["charges"], json!([]));
    let fresh = sandbox.authorize("17", "pm_card_visa").await;
    assert!(!fresh.replayed);
}

#[tokio::test]
async fn a_file_that_is_no_state_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    std::fs::write(&file, "not a state\nat all\n").unwrap();
    let config = Config { state_file: Some(file.clone()), ..Config::in_process(SECRET, WEBHOOK_SECRET) };
    let refused = payments_sandbox::App::build(config).await.unwrap_err();
    assert!(refused.to_string().contains("cannot use the state file"), "{refused}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a state\nat all\n");
}
