//! The last hour survives restarts of the service, and of Redis.

use crate::app::{SOON, TestApp, hello, requests, slot, slot_ago};

#[tokio::test]
async fn a_restart_knows_the_last_hour() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    let slots = (1..=300).map(|ago| slot(slot_ago(ago), 1, vec![requests(1, 2), requests(2, 1)])).collect();
    app.report(hello(1, "gateway"), slots).await.unwrap();
    let before = app.query("gateway").await;
    app.stop().await;

    let app = TestApp::start(&redis.url()).await;
    let known = async || Some(app.query("gateway").await).filter(|answer| answer.total == before.total);
    let after = testkit::eventually(SOON, "the restarted service knows the hour", known).await;
    assert_eq!(after.routes, before.routes);
    assert_eq!(after.total.unwrap().requests, 900);
    app.stop().await;
}

#[tokio::test]
async fn without_redis_it_goes_on_and_stores_later() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    let stored =
        app.report(hello(1, "gateway"), vec![slot(slot_ago(2), 1, vec![requests(1, 5)])]).await.unwrap();
    assert!(stored.acks[0].persisted);

    redis.kill().await;
    let during = vec![slot(slot_ago(1), 2, vec![requests(1, 7)])];
    let response = app.report(hello(1, "gateway"), during.clone()).await.unwrap();
    assert!(!response.acks[0].persisted, "the source is to keep it");
    assert_eq!(app.requests("gateway").await, 12, "questions are answered from memory");
    assert!(app.page("/health/ready").await.contains("degraded"));

    redis.restart().await;
    let stored = async || {
        let response = app.report(hello(1, "gateway"), during.clone()).await.unwrap();
        response.acks[0].persisted.then_some(())
    };
    testkit::eventually(SOON, "the slot is stored once Redis is back", stored).await;
    app.stop().await;

    // Redis came back empty: what had been stored before must have been written again.
    let app = TestApp::start(&redis.url()).await;
    let known = async || (app.requests("gateway").await == 12).then_some(());
    testkit::eventually(SOON, "both slots are in Redis", known).await;
    app.stop().await;
}

#[tokio::test]
async fn starts_without_redis() {
    let redis = testkit::Redis::start().await;
    redis.kill().await;
    let app = TestApp::start(&redis.url()).await;
    let response =
        app.report(hello(1, "gateway"), vec![slot(slot_ago(1), 1, vec![requests(1, 5)])]).await.unwrap();
    assert!(!response.acks[0].persisted);
    assert_eq!(app.requests("gateway").await, 5);
    app.stop().await;
}
