//! The log of an endpoint, once more, and by hand.

use std::time::Duration;

use proto::notifications::v1::*;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use super::receiver::{Answer, Receiver};
use super::{ADMIN, Hooks};
use crate::app::refusal;

#[tokio::test]
async fn a_log_is_paged_and_filtered_latest_first() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let mut events = Vec::new();
    for product_id in 1..=5 {
        receiver.answers(Answer::Status(if product_id % 2 == 0 { 500 } else { 200 }));
        let event = hooks.updated(product_id, 1).await;
        let status = if product_id % 2 == 0 { "failed" } else { "delivered" };
        hooks.delivery(endpoint.id, &event, status).await;
        hooks.clock.advance(time::Duration::MILLISECOND);
        events.insert(0, event.id().to_string());
    }
    let ask = |page, limit, status: Option<&str>| ListDeliveriesRequest {
        endpoint_id: endpoint.id,
        page,
        limit,
        status: status.map(str::to_owned),
    };
    let ids = |answer: &ListDeliveriesResponse| {
        answer.deliveries.iter().map(|delivery| delivery.event_id.clone()).collect::<Vec<_>>()
    };
    let first = hooks.list_deliveries(ADMIN, ask(1, 2, None)).await.unwrap();
    assert_eq!((ids(&first), first.total), (events[..2].to_vec(), 5));
    let last = hooks.list_deliveries(ADMIN, ask(3, 2, None)).await.unwrap();
    assert_eq!(ids(&last), events[4..]);
    let failed = hooks.list_deliveries(ADMIN, ask(1, 100, Some("failed"))).await.unwrap();
    assert_eq!((ids(&failed), failed.total), (vec![events[1].clone(), events[3].clone()], 2));
    let dead = hooks.list_deliveries(ADMIN, ask(1, 100, Some("dead"))).await.unwrap();
    assert_eq!((dead.deliveries.len(), dead.total), (0, 0));

    for (request, reason, field) in [
        (ask(0, 2, None), "invalid_value", "page"),
        (ask(1, 0, None), "invalid_value", "limit"),
        (ask(1, 101, None), "invalid_value", "limit"),
        (ask(101, 100, None), "offset_too_deep", "page"),
        (ask(1, 1, Some("lost")), "invalid_value", "status"),
    ] {
        let refused = refusal(hooks.list_deliveries(ADMIN, request).await);
        assert_eq!(refused, (Code::InvalidArgument, reason.to_owned(), field.to_owned()));
    }
    let nowhere = ListDeliveriesRequest { endpoint_id: 999_999, ..ask(1, 1, None) };
    assert_eq!(refusal(hooks.list_deliveries(ADMIN, nowhere).await).1, "endpoint_not_found");
}

#[tokio::test]
async fn a_delivery_is_sent_once_more_as_if_for_the_first_time() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, secret) = hooks.endpoint(&receiver, &["*"]).await;
    let event = hooks.updated(5, 1).await;
    let delivered = hooks.delivery(endpoint.id, &event, "delivered").await;
    let again = RedeliverRequest { delivery_id: delivered.id.clone() };
    let due = hooks.redeliver(ADMIN, again.clone()).await.unwrap().delivery.unwrap();
    assert_eq!((&*due.status, due.attempts, due.delivered_at), ("pending", 0, None));
    let received = receiver.requests(2).await;
    assert_eq!(received[1].header("webhook-id"), event.id().to_string());
    assert_eq!((&received[1].body, received[1].signed_with(&secret)), (&received[0].body, 1));
    hooks.delivery(endpoint.id, &event, "delivered").await;

    // Given up long ago, it has all of its attempts again.
    hooks
        .world
        .sql("UPDATE webhook_deliveries SET status = 'dead', attempts = 10, delivered_at = NULL")
        .await;
    receiver.answers_next(Answer::Status(500));
    hooks.redeliver(ADMIN, again).await.unwrap();
    assert_eq!(hooks.delivery(endpoint.id, &event, "failed").await.attempts, 1);

    let unknown = RedeliverRequest { delivery_id: Uuid::now_v7().to_string() };
    let refused = refusal(hooks.redeliver(ADMIN, unknown).await);
    assert_eq!(refused, (Code::NotFound, "delivery_not_found".to_owned(), String::new()));
    let nonsense = RedeliverRequest { delivery_id: "1".to_owned() };
    assert_eq!(refusal(hooks.redeliver(ADMIN, nonsense).await).2, "delivery_id");
}

#[tokio::test]
async fn an_attempt_that_was_overtaken_by_a_redelivery_counts_no_more() {
    let hooks = Hooks::start().await;
    let release = CancellationToken::new();
    let receiver = Receiver::start().await;
    receiver.answers_next(Answer::Held(release.clone()));
    receiver.answers(Answer::Status(500));
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let event = hooks.updated(5, 1).await;
    receiver.requests(1).await;
    let under_way = hooks.delivery(endpoint.id, &event, "pending").await;
    hooks.redeliver(ADMIN, RedeliverRequest { delivery_id: under_way.id }).await.unwrap();
    let failed = hooks.delivery(endpoint.id, &event, "failed").await;
    release.cancel();
    testkit::eventually(crate::app::SOON, "the late success", async || {
        let page = hooks.replica.page("/metrics").await.1;
        page.contains("webhook_attempts_total{status=\"delivered\"} 1").then_some(())
    })
    .await;
    // The barrier: what is settled after it was settled.
    receiver.answers(Answer::Status(200));
    let other = hooks.updated(6, 1).await;
    hooks.delivery(endpoint.id, &other, "delivered").await;
    assert_eq!(hooks.delivery(endpoint.id, &event, "failed").await, failed);
}

#[tokio::test]
async fn a_test_is_sent_at_once_and_changes_nothing_about_the_endpoint() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::answering(Answer::Status(410)).await;
    let (endpoint, secret) = hooks.endpoint(&receiver, &["price.changed"]).await;
    let test = TestEndpointRequest { id: endpoint.id };
    let refused = hooks.test_endpoint(ADMIN, test).await.unwrap().delivery.unwrap();
    assert_eq!((&*refused.status, refused.last_status, refused.attempts), ("dead", Some(410), 1));
    assert_eq!(hooks.endpoint_now(endpoint.id).await, endpoint);

    receiver.answers(Answer::Status(200));
    let good = hooks.test_endpoint(ADMIN, test).await.unwrap().delivery.unwrap();
    assert_eq!((&*good.status, &*good.r#type, good.last_status), ("delivered", "webhook.test", Some(200)));
    let request = &receiver.received()[1];
    assert_eq!((&request.json()["type"], request.signed_with(&secret)), (&"webhook.test".into(), 1));
    assert_eq!(request.header("webhook-id"), good.event_id);
    assert_eq!(hooks.log(endpoint.id).await.len(), 2, "both are in the log");
}

#[tokio::test]
async fn what_happened_long_ago_is_forgotten() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let old = hooks.updated(5, 1).await;
    hooks.delivery(endpoint.id, &old, "delivered").await;
    hooks.clock.advance(time::Duration::days(29));
    let young = hooks.updated(6, 1).await;
    let kept = hooks.delivery(endpoint.id, &young, "delivered").await;
    assert_eq!(hooks.log(endpoint.id).await.len(), 2);
    hooks.clock.advance(time::Duration::days(2));
    testkit::eventually(crate::app::SOON, "nothing but the young one", async || {
        (hooks.log(endpoint.id).await == [kept.clone()]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_attempt_takes_fifteen_seconds_at_most() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::answering(Answer::Held(CancellationToken::new())).await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let begun = std::time::Instant::now();
    let tried = hooks.test_within(endpoint.id, Duration::from_secs(60)).await.unwrap();
    assert!((15..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!((&*tried.status, tried.last_error.as_deref()), ("dead", Some("no answer in time")));
}

#[tokio::test]
async fn a_test_ends_before_its_caller_does() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::answering(Answer::Held(CancellationToken::new())).await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let begun = std::time::Instant::now();
    let tried = hooks.test_within(endpoint.id, Duration::from_secs(3)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!((&*tried.status, tried.last_status), ("dead", None));
    assert_eq!(tried.last_error.as_deref(), Some("no answer in time"));
}
