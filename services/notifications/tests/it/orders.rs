//! What becomes of an order, and who hears of it.

use ::events::Fact;
use proto::events::v1::{OrderFact, OrderPlaced, OrderStatusChanged};
use proto::notifications::v1::*;
use proto::orders::v1::{Address, GetOrderForNoticeResponse, Order, Shipment};
use serde_json::Value;
use testkit::eventually;

use crate::app::{ANA, BIA, Publisher, SOON, TestApp};
use crate::consumers::with_nats;

const TOKEN: &str = "t0ken-of-a-guest_";

fn order(id: i64, user_id: Option<i64>) -> Order {
    Order {
        id,
        number: format!("MC-2026-{id:06}"),
        user_id,
        status: "pending_payment".into(),
        currency: "BRL".into(),
        total_amount: 129_050,
        shipping_address: Some(Address { recipient: "Gil Souza".into(), ..Default::default() }),
        ..Default::default()
    }
}

fn bought_by(user_id: i64, id: i64) -> GetOrderForNoticeResponse {
    GetOrderForNoticeResponse {
        order: Some(order(id, Some(user_id))),
        locale: "pt-BR".into(),
        ..Default::default()
    }
}

fn bought_by_guest(id: i64) -> GetOrderForNoticeResponse {
    GetOrderForNoticeResponse {
        order: Some(order(id, None)),
        email: Some("gil@example.com".into()),
        order_token: Some(TOKEN.into()),
        locale: "en".into(),
    }
}

fn placed(order_id: i64, user_id: Option<i64>) -> Fact {
    Fact::OrderPlaced(OrderPlaced { order_id, user_id, ..Default::default() })
}

fn becomes(order_id: i64, user_id: Option<i64>, status: &str) -> Fact {
    Fact::OrderStatusChanged(OrderStatusChanged {
        order_id,
        user_id,
        status: status.into(),
        ..Default::default()
    })
}

fn changes(order_id: i64, user_id: Option<i64>, columns: &[&str]) -> Fact {
    let changed = columns.iter().map(|column| (*column).to_owned()).collect();
    Fact::OrderUpdated(OrderFact { order_id, user_id, changed })
}

/// The mails to an address, oldest first, once there are so many.
async fn mails(app: &TestApp, to: &str, count: usize) -> Vec<Value> {
    eventually(SOON, "mails", async || {
        let (_, body) = app.replica.page(&format!("/mailbox.json?to={to}")).await;
        let mut mails = serde_json::from_str::<Value>(&body).unwrap()["mails"].as_array().unwrap().clone();
        mails.reverse();
        (mails.len() >= count).then_some(mails)
    })
    .await
}

async fn settled(publisher: &Publisher) {
    let stream = publisher.jetstream().get_stream("MC_MUTATIONS").await.unwrap();
    eventually(SOON, "every message answered", async || {
        let info = stream.consumer_info("notifications-orders").await.ok()?;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_buyer_is_told_every_step_in_their_language_and_nobody_else_is() {
    let (app, _nats, publisher) = with_nats().await;
    let mut notice = bought_by(42, 17);
    notice.order.as_mut().unwrap().refunded_amount = 4_990;
    notice.order.as_mut().unwrap().shipments = vec![Shipment {
        carrier: "Correios".into(),
        tracking_code: Some("BR123456789BR".into()),
        ..Default::default()
    }];
    app.world.orders.knows(notice);
    publisher.publish(1, placed(17, Some(42))).await;
    let steps =
        ["payment_failed", "paid", "processing", "shipped", "delivered", "partially_refunded", "refunded"];
    for (version, status) in (2..).zip(steps) {
        publisher.publish(version, becomes(17, Some(42), status)).await;
    }
    let feed = app.feed_of(BIA, 7).await;
    let told: Vec<_> = feed.iter().rev().map(|told| told.title.as_str()).collect();
    assert_eq!(
        told,
        [
            "Order MC-2026-000017 received",
            "Payment for order MC-2026-000017 failed",
            "Order MC-2026-000017 paid",
            "Order MC-2026-000017 shipped",
            "Order MC-2026-000017 delivered",
            "Partial refund of order MC-2026-000017",
            "Order MC-2026-000017 refunded",
        ]
    );
    assert!(feed.iter().all(|told| told.kind == "order" && told.link.as_deref() == Some("/orders/17")));
    assert!(feed[6].body.contains("R$ 1.290,50"), "{}", feed[6].body);
    assert!(feed[3].body.contains("BR123456789BR"), "{}", feed[3].body);
    assert!(feed[1].body.contains("R$ 49,90"), "{}", feed[1].body);
    settled(&publisher).await;
    assert!(app.feed(ANA).await.is_empty());

    let mails = mails(&app, "bia@example.com", 7).await;
    let shipped =
        mails.iter().find(|mail| mail["subject"] == "Your order MC-2026-000017 is on its way").unwrap();
    let text = shipped["text"].as_str().unwrap();
    assert!(text.contains("Tracking code (Correios): BR123456789BR."), "{text}");
    assert!(text.contains("\n\nhttps://shop.example/orders/17\n\n"), "{text}");
    assert!(!mails.iter().any(|mail| mail["text"].as_str().unwrap().contains("order_token")));
}

#[tokio::test]
async fn a_first_parcel_is_news_and_a_payment_given_up_for_a_cancellation_is_none() {
    let (app, _nats, publisher) = with_nats().await;
    let mut notice = bought_by(42, 19);
    notice.order.as_mut().unwrap().status = "cancelled".into();
    app.world.orders.knows(notice);
    publisher.publish(1, changes(19, Some(42), &["items", "shipments"])).await;
    publisher.publish(2, becomes(19, Some(42), "payment_failed")).await;
    publisher.publish(3, becomes(19, Some(42), "cancelled")).await;
    let feed = app.feed_of(BIA, 2).await;
    settled(&publisher).await;
    let told: Vec<_> = feed.iter().rev().map(|told| told.title.as_str()).collect();
    assert_eq!(told, ["Part of order MC-2026-000019 shipped", "Order MC-2026-000019 cancelled"]);
    assert_eq!(mails(&app, "bia@example.com", 2).await.len(), 2);
}

#[tokio::test]
async fn a_guest_is_written_to_with_the_way_to_the_order() {
    let (app, _nats, publisher) = with_nats().await;
    app.world.orders.knows(bought_by_guest(18));
    // The mail cannot leave yet: what waits shows neither address nor token.
    app.world.sql("ALTER TABLE mailbox ADD CONSTRAINT closed CHECK (false) NOT VALID").await;
    publisher.publish(1, placed(18, None)).await;
    let row = eventually(SOON, "the queued mail", async || {
        app.world
            .one::<Option<String>>(
                "SELECT max(emails::text || encode(coalesce(sealed, ''), 'escape')) FROM emails WHERE status = 'failed'",
            )
            .await
    })
    .await;
    for secret in [TOKEN, "gil", "example.com", "Souza"] {
        assert!(!row.contains(secret), "{row}");
    }
    app.world.sql("ALTER TABLE mailbox DROP CONSTRAINT closed").await;
    let [mail] = &mails(&app, "gil@example.com", 1).await[..] else { panic!("one mail") };
    assert_eq!(mail["subject"], "We received your order MC-2026-000018");
    let text = mail["text"].as_str().unwrap();
    assert!(text.starts_with("Hello, Gil Souza!\n"), "{text}");
    let link = format!("\n\nhttps://shop.example/orders/18?order_token={TOKEN}\n\n");
    assert!(text.contains(&link), "{text}");
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM notifications").await, 0);
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM feeds").await, 0);
}

#[tokio::test]
async fn an_order_without_anybody_to_tell_holds_up_nobody() {
    let (app, _nats, publisher) = with_nats().await;
    let mut silent = bought_by_guest(19);
    silent.email = None;
    app.world.orders.knows(silent);
    app.world.orders.knows(bought_by(42, 21));
    publisher.publish(1, placed(19, None)).await;
    // Erased before anybody was told.
    publisher.publish(1, placed(20, Some(42))).await;
    publisher.publish(1, placed(21, Some(42))).await;
    let [told] = &app.feed_of(BIA, 1).await[..] else { panic!("one") };
    assert_eq!(told.link.as_deref(), Some("/orders/21"));
    settled(&publisher).await;
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM emails").await, 1);
}

#[tokio::test]
async fn the_same_event_twice_is_told_once() {
    let (app, _nats, publisher) = with_nats().await;
    app.world.orders.knows(bought_by(42, 17));
    app.world.orders.knows(bought_by_guest(18));
    for fact in [becomes(17, Some(42), "paid"), becomes(18, None, "paid")] {
        let event = publisher.publish(1, fact).await;
        publisher.raw(event.subject(), event.encode(), &event.id().to_string().to_uppercase()).await;
    }
    app.feed_of(BIA, 1).await;
    mails(&app, "gil@example.com", 1).await;
    settled(&publisher).await;
    assert_eq!(app.feed(BIA).await.len(), 1);
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM emails").await, 2);
}

#[tokio::test]
async fn parts_are_told_and_what_only_staff_sees_is_not() {
    let (app, _nats, publisher) = with_nats().await;
    app.world.orders.knows(bought_by(41, 17));
    for (version, columns) in
        (2..).zip([&["notes"][..], &["items"], &["items", "shipments"], &["refunded_amount"]])
    {
        publisher.publish(version, changes(17, Some(41), columns)).await;
    }
    for (version, status) in (6..).zip(["processing", "return_requested", "cancelled", "expired"]) {
        publisher.publish(version, becomes(17, Some(41), status)).await;
    }
    let feed = app.feed_of(ANA, 5).await;
    settled(&publisher).await;
    let told: Vec<_> = feed.iter().rev().map(|told| told.title.as_str()).collect();
    assert_eq!(
        told,
        [
            "Itens do pedido MC-2026-000017 cancelados",
            "Parte do pedido MC-2026-000017 enviada",
            "Reembolso parcial do pedido MC-2026-000017",
            "Pedido MC-2026-000017 cancelado",
            "Pedido MC-2026-000017 expirado",
        ]
    );
    assert_eq!(app.world.orders.asked(), 5, "asked about what is no news");
}

#[tokio::test]
async fn buyers_choose_how_they_hear_of_orders() {
    let (app, _nats, publisher) = with_nats().await;
    for id in [17, 18] {
        app.world.orders.knows(bought_by(40 + id - 16, id));
    }
    let wish = |in_app, email| UpdatePreferencesRequest {
        preferences: vec![Preference { kind: "order".into(), in_app, email }],
    };
    app.update_preferences(ANA, wish(false, true)).await.unwrap();
    app.update_preferences(BIA, wish(true, false)).await.unwrap();
    publisher.publish(1, placed(17, Some(41))).await;
    publisher.publish(1, placed(18, Some(42))).await;
    app.feed_of(BIA, 1).await;
    let [mail] = &mails(&app, "ana@example.com", 1).await[..] else { panic!("one mail") };
    assert_eq!(mail["subject"], "Recebemos o seu pedido MC-2026-000017");
    settled(&publisher).await;
    assert!(app.feed(ANA).await.is_empty());
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM emails").await, 1);
}

#[tokio::test]
async fn orders_being_away_delays_what_is_told_but_loses_nothing() {
    let (app, _nats, publisher) = with_nats().await;
    app.world.orders.knows(bought_by(42, 17));
    app.world.orders.leaves();
    publisher.publish(1, placed(17, Some(42))).await;
    publisher.publish(2, becomes(17, Some(42), "paid")).await;
    eventually(SOON, "a question that nobody answered", async || {
        (app.world.orders.asked() > 0).then_some(())
    })
    .await;
    assert!(app.feed(BIA).await.is_empty());
    app.world.orders.returns();
    let feed = app.feed_of(BIA, 2).await;
    let told: Vec<_> = feed.iter().rev().map(|told| told.title.as_str()).collect();
    assert_eq!(told, ["Order MC-2026-000017 received", "Order MC-2026-000017 paid"]);
}
