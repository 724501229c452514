//! What reaches whom, in which order.

use proto::events::v1::UserFact;
use proto::notifications::v1::*;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::receiver::{Answer, Received, Receiver};
use super::{ADMIN, Hooks, price_changed, product_updated};
use ::events::{Event, Fact};

#[tokio::test]
async fn subscribers_are_told_what_they_asked_for_signed() {
    let hooks = Hooks::start().await;
    let (all, prices) = (Receiver::start().await, Receiver::start().await);
    let (endpoint, secret) = hooks.endpoint(&all, &["*"]).await;
    let (_, other_secret) = hooks.endpoint(&prices, &["price.*"]).await;

    // About a person: nobody's business.
    hooks.publish(1, Fact::UserRegistered(UserFact { user_id: 7 })).await;
    let updated = hooks.updated(5, 2).await;
    let changed = hooks.publish(1, price_changed(5, 9)).await;

    let [price] = &prices.requests(1).await[..] else { panic!("one request") };
    let data = json!({ "product_id": 5, "variant_id": 9 });
    assert_eq!((&price.json()["type"], &price.json()["data"]), (&json!("price.changed"), &data));
    assert_eq!(price.header("webhook-id"), changed.id().to_string());
    assert_eq!((price.signed_with(&other_secret), price.signed_with(&secret)), (1, 0));

    let received = all.requests(2).await;
    let [request] = &of(&received, &updated)[..] else { panic!("once: {received:?}") };
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-timestamp"), hooks.clock.now().unix_timestamp().to_string());
    assert_eq!(request.signed_with(&secret), 1);
    let body = request.json();
    assert_eq!(body.as_object().unwrap().len(), 3, "thin: {body}");
    assert_eq!((&body["type"], &body["data"]), (&json!("product.updated"), &json!({ "product_id": 5 })));

    let delivery = hooks.delivery(endpoint.id, &updated, "delivered").await;
    assert_eq!((delivery.attempts, delivery.last_status, delivery.last_error), (1, Some(204), None));
    assert!(delivery.delivered_at.is_some() && delivery.next_attempt_at.is_none());
    assert_eq!(all.received().len(), 2, "nothing about people");
}

#[tokio::test]
async fn what_the_stream_delivers_twice_is_sent_once() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["product.*"]).await;
    let event = hooks.updated(5, 1).await;
    // The stream does not know these ids, so it takes the event again and again.
    for copy in ["again", "once more"] {
        hooks.publisher().send(&event, copy).await;
    }
    let last = hooks.updated(6, 1).await;
    hooks.delivery(endpoint.id, &last, "delivered").await;
    assert_eq!(of(&receiver.received(), &event).len(), 1);
    assert_eq!(hooks.log(endpoint.id).await.len(), 2);
}

#[tokio::test]
async fn a_message_waits_for_its_predecessor() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    receiver.answers_next(Answer::Status(500));
    let first = hooks.updated(5, 1).await;
    let failed = hooks.delivery(endpoint.id, &first, "failed").await;
    let (second, third) = (hooks.updated(5, 2).await, hooks.updated(5, 3).await);
    // What is about something else passes.
    let other = hooks.updated(6, 1).await;
    hooks.delivery(endpoint.id, &other, "delivered").await;
    assert_eq!(hooks.delivery(endpoint.id, &second, "pending").await.attempts, 0);
    assert!(of(&receiver.received(), &second).is_empty());

    hooks.turn_to(&failed);
    hooks.delivery(endpoint.id, &third, "delivered").await;
    let order: Vec<_> = receiver.received().iter().map(|r| r.header("webhook-id").to_owned()).collect();
    let expected = [&first, &other, &first, &second, &third].map(|event| event.id().to_string());
    assert_eq!(order, expected);
}

#[tokio::test]
async fn a_dead_message_holds_nobody_up() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    receiver.answers_next(Answer::Status(500));
    let first = hooks.updated(5, 1).await;
    let failed = hooks.delivery(endpoint.id, &first, "failed").await;
    let second = hooks.updated(5, 2).await;
    hooks.delivery(endpoint.id, &second, "pending").await;
    // The ninth attempt was made long ago.
    hooks.world.sql("UPDATE webhook_deliveries SET attempts = 9 WHERE status = 'failed'").await;
    receiver.answers_next(Answer::Status(500));
    hooks.turn_to(&failed);
    hooks.delivery(endpoint.id, &first, "dead").await;
    hooks.delivery(endpoint.id, &second, "delivered").await;
}

#[tokio::test]
async fn a_slow_receiver_takes_nobody_elses_time() {
    const EVENTS: i64 = 30;
    let hooks = Hooks::start().await;
    let release = CancellationToken::new();
    let slow = Receiver::answering(Answer::Held(release.clone())).await;
    let quick = Receiver::start().await;
    let (slow_endpoint, _) = hooks.endpoint(&slow, &["*"]).await;
    hooks.endpoint(&quick, &["*"]).await;
    for product_id in 1..=EVENTS {
        hooks.updated(product_id, 1).await;
    }
    let told = quick.requests(usize::try_from(EVENTS).unwrap()).await;
    let mut products: Vec<_> = told.iter().map(Received::product_id).collect();
    products.sort_unstable();
    assert_eq!(products, (1..=EVENTS).collect::<Vec<_>>());
    // The slow one has its two places, and no more.
    assert_eq!(slow.requests(2).await.len(), 2);
    let waiting = hooks.log(slow_endpoint.id).await;
    assert!(waiting.iter().all(|delivery| delivery.status == "pending"));
    release.cancel();
    slow.requests(usize::try_from(EVENTS).unwrap()).await;
}

#[tokio::test]
async fn an_endpoint_is_told_nothing_while_it_is_off_and_what_waited_when_it_is_on() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::answering(Answer::Status(500)).await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let before = hooks.updated(5, 1).await;
    let failed = hooks.delivery(endpoint.id, &before, "failed").await;
    let switch = |version, is_active| UpdateEndpointRequest {
        id: endpoint.id,
        expected_version: version,
        is_active: Some(is_active),
        ..Default::default()
    };
    let off = hooks.update_endpoint(ADMIN, switch(1, false)).await.unwrap().endpoint.unwrap();
    assert_eq!(off.disabled_reason.as_deref(), Some("switched off by an administrator"));

    let missed = hooks.publish(1, product_updated(6)).await;
    let witness = Receiver::start().await;
    let (watching, _) = hooks.endpoint(&witness, &["*"]).await;
    hooks.turn_to(&failed);
    let seen = hooks.updated(7, 1).await;
    hooks.delivery(watching.id, &seen, "delivered").await;
    assert_eq!(receiver.received().len(), 1, "nothing while it is off");

    receiver.answers(Answer::Status(200));
    let on = hooks.update_endpoint(ADMIN, switch(off.version, true)).await.unwrap().endpoint.unwrap();
    assert_eq!((on.is_active, on.disabled_reason), (true, None));
    hooks.delivery(endpoint.id, &before, "delivered").await;
    assert!(of(&receiver.received(), &missed).is_empty(), "what happened while it was off");
}

fn of(received: &[Received], event: &Event) -> Vec<Received> {
    let id = event.id().to_string();
    received.iter().filter(|request| request.header("webhook-id") == id).cloned().collect()
}
