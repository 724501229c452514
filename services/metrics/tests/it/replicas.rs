//! Several replicas on one Redis answer the same.

use proto::metrics::v1::{Hello, SeriesDef};

use crate::app::{SOON, TestApp, hello, requests, slot, slot_ago};

#[tokio::test]
async fn a_replica_knows_what_the_other_was_told() {
    let redis = testkit::Redis::start().await;
    let (one, two) = (TestApp::start(&redis.url()).await, TestApp::start(&redis.url()).await);
    let now = slot_ago(0);
    one.report(hello(1, "gateway"), vec![slot(now, 1, vec![requests(1, 5)])]).await.unwrap();
    two.report(hello(2, "gateway"), vec![slot(now, 1, vec![requests(1, 7)])]).await.unwrap();
    for app in [&one, &two] {
        let known = async || (app.requests("gateway").await == 12).then_some(());
        testkit::eventually(SOON, "each knows both sources", known).await;
    }

    // The first source goes on at the other replica, with a series that is new there.
    let series =
        vec![SeriesDef { id: 3, route: "/new".to_owned(), method: "GET".to_owned(), ..SeriesDef::default() }];
    let more = Hello { series, ..hello(1, "gateway") };
    two.report(more, vec![slot(now, 2, vec![requests(1, 6), requests(3, 10)])]).await.unwrap();
    let known = async || (one.requests("gateway").await == 23).then_some(());
    testkit::eventually(SOON, "the new state replaces the old one at the first replica", known).await;
    let routes: Vec<String> = one.query("gateway").await.routes.into_iter().map(|row| row.route).collect();
    assert_eq!(routes, ["/api/v1/products", "/new"]);
    assert_eq!(two.requests("gateway").await, 23);
    one.stop().await;
    two.stop().await;
}
