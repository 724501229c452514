//! What is not accepted, and that it leaves nothing behind.

use proto::metrics::v1::{Hello, QueryRequest, SeriesDef, SeriesState, SlotState, report_request::Kind};
use tonic::Code;

use crate::app::{TestApp, hello, requests, slot, slot_ago};

#[tokio::test]
async fn refused_with_a_code() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    let check = async |messages: Vec<Kind>, expected: Code| {
        let status = app.stream(messages).await.unwrap_err();
        assert_eq!(status.code(), expected, "{status:?}");
        assert_eq!(app.requests("gateway").await, 0);
    };
    let good = hello(1, "gateway");
    let now = slot_ago(1);
    let of = |series| Kind::Slot(slot(now, 1, vec![series]));

    check(vec![Kind::Hello(Hello { layout: 2, ..good.clone() })], Code::FailedPrecondition).await;
    check(vec![], Code::InvalidArgument).await;
    check(vec![of(requests(1, 5))], Code::InvalidArgument).await;
    check(vec![Kind::Hello(Hello { boot_id: vec![], ..good.clone() })], Code::InvalidArgument).await;
    check(vec![Kind::Hello(good.clone()), Kind::Hello(hello(2, "gateway"))], Code::InvalidArgument).await;
    check(vec![Kind::Hello(good.clone()), of(requests(9, 5))], Code::InvalidArgument).await;
    let outside = SeriesState { gap: vec![3_072], ..requests(1, 5) };
    check(vec![Kind::Hello(good.clone()), of(outside)], Code::InvalidArgument).await;
    let uncounted = SeriesState { code: vec![], ..requests(1, 5) };
    check(vec![Kind::Hello(good.clone()), of(uncounted)], Code::InvalidArgument).await;

    let many = (0..2_001).map(|id| SeriesDef { id, ..SeriesDef::default() }).collect();
    check(vec![Kind::Hello(Hello { series: many, ..good.clone() })], Code::ResourceExhausted).await;
    let large = SeriesState { gap: vec![1; 2 << 20], ..requests(1, 5) };
    check(vec![Kind::Hello(good), of(large)], Code::OutOfRange).await;
    app.stop().await;
}

#[tokio::test]
async fn slots_outside_the_hour_are_not_acknowledged() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    let now = slot_ago(0);
    let at = |slot_start_s| slot(slot_start_s, 1, vec![requests(1, 5)]);
    let states: Vec<SlotState> = vec![at(now - 4_000), at(now), at(now + 60)];
    let response = app.report(hello(1, "gateway"), states).await.unwrap();
    let acknowledged: Vec<u32> = response.acks.iter().map(|ack| ack.slot_start_s).collect();
    assert_eq!(acknowledged, [now]);
    assert_eq!(app.requests("gateway").await, 5);
    let page = app.page("/metrics").await;
    for reason in ["late", "early"] {
        let sample = format!(r#"metrics_refused_slots_total{{reason="{reason}"}} 1"#);
        assert!(page.lines().any(|line| line == sample), "{sample} is not in\n{page}");
    }
    app.stop().await;
}

#[tokio::test]
async fn windows_are_one_to_sixty_minutes() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    for window_minutes in [0, 61, u32::MAX] {
        let question = QueryRequest { window_minutes, ..QueryRequest::default() };
        let status = app.client().query(question).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{window_minutes}");
    }
    app.stop().await;
}
