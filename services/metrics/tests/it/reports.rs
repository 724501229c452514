//! What is reported is what is answered.

use proto::metrics::v1::QueryRequest;

use crate::app::{SOON, TestApp, hello, requests, slot, slot_ago};

#[tokio::test]
async fn reported_slots_are_stored_and_answered() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    let now = slot_ago(0);
    let slots =
        vec![slot(now, 1, vec![requests(1, 30)]), slot(now - 10, 2, vec![requests(1, 20), requests(2, 50)])];
    let response = app.report(hello(1, "gateway"), slots).await.unwrap();
    assert_eq!(response.acks.iter().map(|ack| ack.version).collect::<Vec<_>>(), [2, 1]);
    assert!(response.acks.iter().all(|ack| ack.persisted), "{response:?}");
    assert!(response.server_unix_ns > 0);
    assert_eq!(response.next_flush_ms, 2_000);

    let answer = app.query("gateway").await;
    let total = answer.total.unwrap();
    assert_eq!((total.requests, total.cache_hits, total.status_2xx, total.status_5xx), (100, 50, 100, 0));
    assert_eq!((total.p95_ns, total.max_ns), (1_000_000, 1_000_000));
    assert_eq!(answer.routes.len(), 1);
    assert_eq!(
        (answer.routes[0].route.as_str(), answer.routes[0].method.as_str()),
        ("/api/v1/products", "GET")
    );
    let coverage = answer.coverage.unwrap();
    assert_eq!((coverage.ratio, coverage.sources_expected, coverage.sources_seen), (1.0, 1, 1));
    assert_eq!((coverage.oldest_slot_s, coverage.newest_slot_s), (now - 10, now));
    app.stop().await;
}

#[tokio::test]
async fn duplicates_and_late_versions_change_nothing() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    let at = slot_ago(1);
    let versions = [(1, 10), (3, 40), (2, 20), (3, 40), (1, 10)];
    let states = versions.map(|(version, n)| slot(at, version, vec![requests(1, n)]));
    for _ in 0..3 {
        let response = app.report(hello(1, "gateway"), states.to_vec()).await.unwrap();
        assert_eq!(
            response.acks.iter().map(|ack| (ack.slot_start_s, ack.version)).collect::<Vec<_>>(),
            [(at, 3)]
        );
    }
    assert_eq!(app.requests("gateway").await, 40);
    app.stop().await;
}

#[tokio::test]
async fn no_data_is_said() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    let answer = app.query("gateway").await;
    assert_eq!(answer.coverage.unwrap().ratio, 0.0);
    assert_eq!(answer.total.unwrap().requests, 0);
    app.stop().await;
}

#[tokio::test]
async fn its_own_calls_are_timed_and_exposed() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    app.query("gateway").await;
    app.client().query(QueryRequest { window_minutes: 0, ..QueryRequest::default() }).await.unwrap_err();
    let query = r#"method="RPC",endpoint="/mestres.metrics.v1.MetricsService/Query""#;
    for status in [200, 400] {
        let sample = format!(r#"http_requests_total{{{query},status="{status}"}} 1"#);
        let page = app.page("/metrics").await;
        assert!(page.lines().any(|line| line == sample), "{sample} is not in\n{page}");
    }
    // It reports to itself like any other source.
    let own = async || {
        Some(app.query("metrics").await).filter(|answer| answer.coverage.is_some_and(|c| c.ratio > 0.0))
    };
    let own = testkit::eventually(SOON, "the service reports to itself", own).await;
    assert!(own.process.unwrap().memory_percent > 0.0);
    app.stop().await;
}
