//! Whatever breaks, and however often a client repeats itself: each key has at most one effect, and the ledger
//! adds up.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::app::{Answer, TestSandbox, card};

/// One step of a client that remembers nothing but ids.
#[derive(Clone, Debug)]
enum Step {
    Create {
        order: u8,
        token: &'static str,
    },
    Capture {
        order: u8,
    },
    Cancel {
        order: u8,
    },
    Refund {
        order: u8,
        number: u8,
        amount: u16,
    },
    /// The same as an earlier step, by its number.
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let tokens = prop_oneof![
        6 => Just("pm_card_visa"),
        1 => Just("pm_card_chargeDeclined"),
        1 => Just("pm_sandbox_500_after_charge"),
    ];
    prop_oneof![
        4 => (0..4_u8, tokens).prop_map(|(order, token)| Step::Create { order, token }),
        4 => (0..4_u8).prop_map(|order| Step::Capture { order }),
        1 => (0..4_u8).prop_map(|order| Step::Cancel { order }),
        3 => (0..4_u8, 0..3_u8, 1..20_000_u16)
            .prop_map(|(order, number, amount)| Step::Refund { order, number, amount }),
        6 => (0..40_usize).prop_map(Step::Again),
    ]
}

fn knobs() -> impl Strategy<Value = Value> {
    let rate = || prop_oneof![Just(0.0), Just(0.3)];
    let lost = prop_oneof![Just("reset"), Just("error")];
    (any::<u32>(), rate(), rate(), rate(), rate(), lost).prop_map(
        |(seed, before, after, reset, decline, lost)| {
            json!({
                "seed": seed,
                "decline_rate": decline,
                "lost_answer": lost,
                "faults": {
                    "before_effect": before,
                    "after_effect_before_answer": after,
                    "reset_connection": reset,
                },
            })
        },
    )
}

#[test]
fn each_key_has_at_most_one_effect_and_the_ledger_adds_up() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sandbox = runtime.block_on(TestSandbox::start());
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let sequences = (knobs(), prop::collection::vec(step(), 1..40));
    TestRunner::new(config)
        .run(&sequences, |(knobs, steps)| {
            runtime.block_on(follow(&sandbox, knobs, &steps));
            Ok(())
        })
        .unwrap();
}

async fn follow(sandbox: &TestSandbox, knobs: Value, steps: &[Step]) {
    sandbox.client().post(sandbox.url("/__sandbox/reset")).send().await.unwrap();
    sandbox.configure(knobs).await;
    let mut firsts: HashMap<String, Answer> = HashMap::new();
    for step in steps {
        let step = match step {
            Step::Again(index) => steps.iter().filter(|step| !matches!(step, Step::Again(_))).nth(*index),
            other => Some(other),
        };
        let Some((key, answer)) = (match step {
            Some(step) => take(sandbox, step).await,
            None => None,
        }) else {
            continue;
        };
        match firsts.get(&key) {
            Some(first) if answer.replayed => assert_eq!(answer.text, first.text, "{key}"),
            _ if answer.status == 200 || answer.status == 402 || answer.status == 500 => {
                firsts.insert(key, answer);
            }
            _ => {}
        }
    }
    check_ledger(&sandbox.get("/__sandbox/ledger").await.json());
}

/// Asks once; none when nobody answered, or there is nothing to ask about.
async fn take(sandbox: &TestSandbox, step: &Step) -> Option<(String, Answer)> {
    let (key, path, form) = match step {
        Step::Again(_) => return None,
        Step::Create { order, token } => {
            let order = order.to_string();
            let form = owned(&card(&order, token));
            (format!("mc:{order}:1:create"), "/v1/payment_intents".to_owned(), form)
        }
        Step::Capture { order } => {
            let path = format!("/v1/payment_intents/{}/capture", intent_of(sandbox, *order).await?);
            (format!("mc:{order}:1:capture"), path, Vec::new())
        }
        Step::Cancel { order } => {
            let path = format!("/v1/payment_intents/{}/cancel", intent_of(sandbox, *order).await?);
            (format!("mc:{order}:1:cancel"), path, Vec::new())
        }
        Step::Refund { order, number, amount } => {
            let intent = intent_of(sandbox, *order).await?;
            let form = owned(&[("payment_intent", &intent), ("amount", &amount.to_string())]);
            (format!("mc:{order}:1:refund:{number}"), "/v1/refunds".to_owned(), form)
        }
    };
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = sandbox.try_post(&path, Some(&key), &form).await.ok()?;
    Some((key, answer))
}

fn owned(form: &[(&str, &str)]) -> Vec<(String, String)> {
    form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn intent_of(sandbox: &TestSandbox, order: u8) -> Option<String> {
    let path = format!("/v1/payment_intents/search?query=metadata%5B'order_id'%5D:'{order}'");
    let request = reqwest::Client::get(sandbox.client(), sandbox.url(&path)).bearer_auth(crate::app::SECRET);
    let found: Value = request.send().await.ok()?.json().await.ok()?;
    found["data"][0]["id"].as_str().map(str::to_owned)
}

fn check_ledger(ledger: &Value) {
    let rows = |name: &str| ledger[name].as_array().unwrap().clone();
    let unique = |name: &str| {
        let rows = rows(name);
        let keys: HashSet<String> = rows.iter().map(|row| row["provider_key"].to_string()).collect();
        assert_eq!(keys.len(), rows.len(), "a key had two effects: {name} of {ledger}");
    };
    unique("charges");
    unique("captures");
    unique("refunds");
    let sum = |name: &str, charge: &Value| -> i64 {
        let of_it = rows(name).into_iter().filter(|row| row["charge"] == *charge);
        of_it.map(|row| row["amount"].as_i64().unwrap()).sum()
    };
    for charge in rows("charges") {
        let (captured, refunded) = (sum("captures", &charge["id"]), sum("refunds", &charge["id"]));
        let amount = if charge["status"] == "succeeded" { charge["amount"].as_i64().unwrap() } else { 0 };
        assert_eq!(captured, amount, "{charge}");
        assert_eq!(charge["amount_captured"], captured);
        assert_eq!(charge["amount_refunded"], refunded);
        assert!(refunded <= captured, "{charge}");
    }
    let orders: Vec<String> = rows("captures").iter().map(|row| row["order_id"].to_string()).collect();
    let distinct: HashSet<&String> = orders.iter().collect();
    assert_eq!(distinct.len(), orders.len(), "an order was charged twice: {ledger}");
}
