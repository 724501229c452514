//! Other systems hear of orders, payments and stock: ids, statuses and amounts.

use ::events::Fact;
use proto::events::v1::{
    CartFact, OrderPlaced, OrderStatusChanged, PaymentFact, StockBandChanged, StockChanged,
};
use serde_json::{Value, json};

use super::Hooks;
use super::receiver::Receiver;

fn becomes(order_id: i64, status: &str) -> Fact {
    let fact =
        OrderStatusChanged { order_id, user_id: Some(41), status: status.into(), ..Default::default() };
    Fact::OrderStatusChanged(fact)
}

#[tokio::test]
async fn an_endpoint_hears_of_an_order_in_order_and_of_nothing_private() {
    let hooks = Hooks::start().await;
    let (orders, everything) = (Receiver::start().await, Receiver::start().await);
    let (_, secret) = hooks.endpoint(&orders, &["order.*"]).await;
    hooks.endpoint(&everything, &["*"]).await;
    let placed = OrderPlaced {
        order_id: 17,
        user_id: Some(41),
        total_amount: 12_905,
        currency: "BRL".into(),
        cart_token_sha256: Some("ab".repeat(32)),
        ..Default::default()
    };
    hooks
        .publisher
        .publish(1, Fact::CartConverted(CartFact { cart_id: "c".into(), ..Default::default() }))
        .await;
    hooks.publisher.publish(1, Fact::OrderPlaced(placed)).await;
    hooks
        .publisher
        .publish(1, Fact::StockChanged(StockChanged { variant_id: 9, ..Default::default() }))
        .await;
    let band = StockBandChanged { variant_id: 9, product_id: 5, old_band: "in".into(), band: "low".into() };
    hooks.publisher.publish(1, Fact::StockBandChanged(band)).await;
    let captured = PaymentFact {
        payment_id: "p1".into(),
        order_id: 17,
        user_id: Some(41),
        amount: 12_905,
        status: "captured".into(),
        failure_code: None,
    };
    hooks.publisher.publish(1, Fact::PaymentChanged(captured)).await;
    for (version, status) in (2..).zip(["paid", "processing", "shipped"]) {
        hooks.publisher.publish(version, becomes(17, status)).await;
    }

    let told = orders.requests(4).await;
    let said: Vec<(Value, Value)> =
        told.iter().map(|told| (told.json()["type"].clone(), told.json()["data"].clone())).collect();
    let placed =
        json!({ "order_id": 17, "status": "pending_payment", "total_amount": 12_905, "currency": "BRL" });
    let status =
        |status: &str| (json!(format!("order.{status}")), json!({ "order_id": 17, "status": status }));
    assert_eq!(
        said,
        [(json!("order.placed"), placed), status("paid"), status("processing"), status("shipped")]
    );
    assert!(told.iter().all(|told| told.signed_with(&secret) == 1));

    let mut types: Vec<String> = everything
        .requests(6)
        .await
        .iter()
        .map(|told| told.json()["type"].as_str().unwrap().to_owned())
        .collect();
    types.sort();
    assert_eq!(
        types,
        [
            "order.paid",
            "order.placed",
            "order.processing",
            "order.shipped",
            "payment.captured",
            "stock.band_changed"
        ]
    );
    let all = everything.requests(6).await.iter().map(|told| told.json().to_string()).collect::<String>();
    assert!(!all.contains("user") && !all.contains("abab"), "{all}");
}
