//! Lists and searches.

use serde_json::Value;

use crate::app::TestSandbox;

fn orders(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().unwrap().iter();
    data.map(|intent| intent["metadata"]["order_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_is_paged_newest_first() {
    let sandbox = TestSandbox::start().await;
    let mut created = 0;
    for order in 1..=5 {
        created =
            sandbox.authorize(&order.to_string(), "pm_card_visa").await.json()["created"].as_i64().unwrap();
    }
    let first = sandbox.get("/v1/payment_intents?limit=2").await.json();
    assert_eq!(orders(&first), ["5", "4"]);
    assert_eq!(first["has_more"], true);
    let last = first["data"][1]["id"].as_str().unwrap();
    let second = sandbox.get(&format!("/v1/payment_intents?limit=3&starting_after={last}")).await.json();
    assert_eq!(
        (orders(&second), &second["has_more"]),
        (vec!["3".into(), "2".into(), "1".into()], &Value::Bool(false))
    );
    let future = sandbox.get(&format!("/v1/payment_intents?created[gte]={}", created + 1)).await.json();
    assert!(orders(&future).is_empty());
    let past = sandbox.get(&format!("/v1/payment_intents?created%5Bgte%5D={}", created - 60)).await.json();
    assert_eq!(orders(&past).len(), 5);
    assert_eq!(sandbox.get("/v1/payment_intents?limit=101").await.status, 400);
    assert_eq!(sandbox.get("/v1/payment_intents?starting_after=pi_nobody").await.status, 404);
}

#[tokio::test]
async fn a_search_finds_every_attempt_of_an_order() {
    let sandbox = TestSandbox::start().await;
    sandbox.authorize("17", "pm_card_chargeDeclined").await;
    sandbox.authorize("170", "pm_card_visa").await;
    let second = crate::app::card("17", "pm_card_visa");
    sandbox.post("/v1/payment_intents", Some("mc:17:2:create"), &second).await;
    let search = |query: &str| format!("/v1/payment_intents/search?query={}", query.replace(' ', "+"));
    let all = sandbox.get(&search("metadata['order_id']:'17'")).await.json();
    assert_eq!((all["object"].as_str(), orders(&all).len()), (Some("search_result"), 2));
    let paid = sandbox.get(&search("metadata['order_id']:'17' AND status:'requires_capture'")).await.json();
    assert_eq!(orders(&paid), ["17"]);
    assert_eq!(sandbox.get(&search("order 17")).await.status, 400);
}

#[tokio::test]
async fn the_whole_ledger_is_told() {
    let sandbox = TestSandbox::start().await;
    sandbox.paid("1").await;
    sandbox.paid("2").await;
    let ledger = sandbox.get("/__sandbox/ledger").await.json();
    assert_eq!(ledger["captures"].as_array().unwrap().len(), 2);
    assert_eq!(ledger["next"], Value::Null);
}
