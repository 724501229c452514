//! A process that reports with the `latency` crate, and its aggregator coming and going.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use latency::{CacheState, Endpoint, EndpointId, Identity, Recorder, Reporter};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{SOON, TestApp};

struct Process {
    recorder: Recorder,
    endpoint: EndpointId,
    reporter: Reporter,
    stop: CancellationToken,
}

impl Process {
    fn start(aggregator: SocketAddr) -> Process {
        let threshold = Duration::from_millis(500);
        let recorder = Recorder::new(vec![Endpoint { route: "/api/v1/products", method: "GET", threshold }]);
        let endpoint = recorder.endpoint("GET", "/api/v1/products").expect("just given");
        let channel = bootstrap::grpc::channel(&format!("http://{aggregator}")).expect("a good address");
        let identity = Identity {
            service: "gateway".to_owned(),
            instance: "gateway-1".to_owned(),
            version: "1".to_owned(),
        };
        let stop = CancellationToken::new();
        let reporter = Reporter::spawn(recorder.clone(), channel, identity, || (3, 8), stop.clone());
        Process { recorder, endpoint, reporter, stop }
    }

    fn serve(&self, requests: u64) {
        for n in 0..requests {
            let cache = if n % 4 == 0 { CacheState::Miss } else { CacheState::HitL1 };
            self.recorder.record(self.endpoint, 200, cache, 1_000_000 + n);
        }
    }

    async fn stop(self) {
        let began = Instant::now();
        self.stop.cancel();
        self.reporter.stopped().await;
        assert!(began.elapsed() < Duration::from_secs(3), "stopping took {:?}", began.elapsed());
    }
}

async fn eventually_requests(app: &TestApp, n: u64) {
    let arrived = async || (app.requests("gateway").await == n).then_some(());
    testkit::eventually(SOON, &format!("{n} requests have arrived"), arrived).await;
}

#[tokio::test]
async fn what_is_recorded_is_answered_within_seconds() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    let process = Process::start(app.grpc_addr);
    process.serve(400);
    eventually_requests(&app, 400).await;
    process.serve(100);
    eventually_requests(&app, 500).await;

    let answer = app.query("gateway").await;
    assert_eq!(answer.total.unwrap().cache_hits, 375);
    assert_eq!(answer.process.unwrap().database_connections_max, 8);
    assert!(answer.process.unwrap().memory_percent > 0.0);

    process.serve(25);
    process.stop().await;
    assert_eq!(app.requests("gateway").await, 525, "the last words arrived before the process ended");
    let coverage = app.query("gateway").await.coverage.unwrap();
    assert_eq!((coverage.sources_expected, coverage.ratio), (0, 1.0), "it said goodbye, so it is not missed");
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_lost_while_the_aggregator_is_away() {
    let redis = testkit::Redis::start().await;
    // An address where nobody listens yet.
    let grpc_addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let process = Process::start(grpc_addr);
    process.serve(300);

    let app = TestApp::start_at(grpc_addr, &redis.url()).await;
    eventually_requests(&app, 300).await;
    process.serve(50);
    app.stop().await;
    process.serve(50);

    let app = TestApp::start_at(grpc_addr, &redis.url()).await;
    eventually_requests(&app, 400).await;
    process.stop().await;
    assert_eq!(app.requests("gateway").await, 400);
    app.stop().await;
}

#[tokio::test]
async fn the_aggregator_stops_in_time_with_streams_open() {
    let redis = testkit::Redis::start().await;
    let app = TestApp::start(&redis.url()).await;
    let process = Process::start(app.grpc_addr);
    process.serve(10);
    eventually_requests(&app, 10).await;
    // `stop` asserts that it takes at most 3 s, though the stream would go on to the end of its slot.
    app.stop().await;
    process.stop().await;
}
