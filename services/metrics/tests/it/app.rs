//! A running service, and a source that reports to it.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bootstrap::Shutdown;
use metrics::{App, Config};
use proto::metrics::v1::{
    CodeCount, Hello, QueryRequest, QueryResponse, ReportRequest, ReportResponse, SeriesDef, SeriesState,
    SlotState, metrics_service_client::MetricsServiceClient, report_request::Kind,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tonic::{Status, transport::Channel};

/// Long enough for a loaded machine; nothing waits this long when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(15);

pub(crate) struct TestApp {
    pub(crate) grpc_addr: SocketAddr,
    internal_addr: SocketAddr,
    client: MetricsServiceClient<Channel>,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    pub(crate) async fn start(redis_url: &str) -> TestApp {
        TestApp::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), redis_url).await
    }

    pub(crate) async fn start_at(grpc_addr: SocketAddr, redis_url: &str) -> TestApp {
        let config = Config {
            grpc_addr,
            internal_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            redis_url: redis_url.to_owned(),
            instance: "test".to_owned(),
        };
        let app = App::build(config).await.expect("the service starts");
        let (grpc_addr, internal_addr) = (app.grpc_addr(), app.internal_addr());
        let channel = bootstrap::grpc::channel(&format!("http://{grpc_addr}")).expect("a good address");
        let shutdown = Shutdown::manual();
        let running = tokio::spawn(app.run(shutdown.clone()));
        TestApp { grpc_addr, internal_addr, client: MetricsServiceClient::new(channel), shutdown, running }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.drain.cancel();
        drop(self.client);
        let ended = tokio::time::timeout(Duration::from_secs(3), self.running).await;
        ended.expect("stops within 3 s").expect("no panic").expect("no error");
    }

    pub(crate) fn client(&self) -> MetricsServiceClient<Channel> {
        self.client.clone()
    }

    /// One stream: a hello, and these states.
    pub(crate) async fn report(
        &self,
        hello: Hello,
        states: Vec<SlotState>,
    ) -> Result<ReportResponse, Status> {
        let states = states.into_iter().map(Kind::Slot);
        self.stream([Kind::Hello(hello)].into_iter().chain(states).collect()).await
    }

    pub(crate) async fn stream(&self, messages: Vec<Kind>) -> Result<ReportResponse, Status> {
        let messages = messages.into_iter().map(|kind| ReportRequest { kind: Some(kind) });
        let response = self.client().report(tokio_stream::iter(messages.collect::<Vec<_>>())).await?;
        Ok(response.into_inner())
    }

    /// The last hour of one service.
    pub(crate) async fn query(&self, service: &str) -> QueryResponse {
        let request = QueryRequest {
            window_minutes: 60,
            service: service.to_owned(),
            by_route: true,
            ..QueryRequest::default()
        };
        self.client().query(request).await.expect("an answer").into_inner()
    }

    pub(crate) async fn requests(&self, service: &str) -> u64 {
        self.query(service).await.total.expect("always there").requests
    }

    /// The body of an internal page.
    pub(crate) async fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.internal_addr).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("it answers");
        response
    }
}

pub(crate) fn hello(boot: u8, service: &str) -> Hello {
    let series = |id, cache_state| SeriesDef {
        id,
        route: "/api/v1/products".to_owned(),
        method: "GET".to_owned(),
        cache_state,
        ..SeriesDef::default()
    };
    Hello {
        boot_id: vec![boot; 16],
        service: service.to_owned(),
        instance: format!("{service}-{boot}"),
        layout: latency::layout::LAYOUT,
        series: vec![
            series(1, latency::CacheState::HitL1 as u32),
            series(2, latency::CacheState::Miss as u32),
        ],
        ..Hello::default()
    }
}

/// `n` requests of 1 ms each that were answered with 200.
pub(crate) fn requests(series: u32, n: u32) -> SeriesState {
    SeriesState {
        id: series,
        sum_ns: u64::from(n) * 1_000_000,
        max_ns: 1_000_000,
        gap: vec![latency::layout::index(1_000_000).into()],
        count: vec![n],
        code: vec![CodeCount { code: 200, n }],
        ..SeriesState::default()
    }
}

pub(crate) fn slot(slot_start_s: u32, version: u64, series: Vec<SeriesState>) -> SlotState {
    SlotState { slot_start_s, slot_len_s: 10, version, series, ..SlotState::default() }
}

/// The slot that was open `ago` slots ago.
pub(crate) fn slot_ago(ago: u32) -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as u32;
    now - now % 10 - ago * 10
}
