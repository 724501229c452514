//! The pages that are not public.

use std::{net::SocketAddr, time::Duration};

use bootstrap::{Health, Shutdown, internal_http};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

const LONG: Duration = Duration::from_secs(30);

struct Pages {
    address: SocketAddr,
    health: Health,
    shutdown: Shutdown,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Pages {
    async fn start(shutdown: Shutdown) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Health::new();
        let metrics = || "requests_total 7\n".to_owned();
        let serving = internal_http::serve(listener, health.clone(), metrics, shutdown.clone());
        Self { address, health, shutdown, serving: tokio::spawn(serving) }
    }

    /// Status line and body.
    async fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: pages\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }
}

#[tokio::test]
async fn metrics_and_health_are_served() {
    let pages = Pages::start(Shutdown::manual()).await;
    assert_eq!(pages.get("/metrics").await, ("HTTP/1.1 200 OK".into(), "requests_total 7\n".into()));
    assert_eq!(pages.get("/health/live").await, ("HTTP/1.1 200 OK".into(), r#"{"status":"live"}"#.into()));
    assert_eq!(
        pages.get("/health/ready").await,
        ("HTTP/1.1 200 OK".into(), r#"{"status":"ready","checks":[]}"#.into())
    );
    assert_eq!(pages.get("/other").await.0, "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn an_absent_dependency_shows_and_only_a_required_one_turns_traffic_away() {
    let pages = Pages::start(Shutdown::manual()).await;
    pages.health.optional("redis", async || Err("connection refused".to_owned()));
    assert_eq!(
        pages.get("/health/ready").await,
        (
            "HTTP/1.1 200 OK".into(),
            r#"{"status":"degraded","checks":[{"name":"redis","status":"degraded","error":"connection refused"}]}"#
                .into()
        )
    );
    pages.health.check("postgres", async || Err("connection refused".to_owned()));
    let (status, body) = pages.get("/health/ready").await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(body.starts_with(r#"{"status":"unready","#), "{body}");
    assert_eq!(pages.get("/health/live").await.0, "HTTP/1.1 200 OK", "still alive");
}

#[tokio::test]
async fn draining_is_said_for_as_long_as_the_delay_lasts() {
    let pages = Pages::start(Shutdown::manual().with_drain_delay(Duration::from_secs(3))).await;
    // A keep-alive connection that says nothing must not hold the process.
    let mut silent = TcpStream::connect(pages.address).await.unwrap();
    pages.shutdown.drain.cancel();
    timeout(LONG, async {
        loop {
            let (status, body) = pages.get("/health/ready").await;
            if status == "HTTP/1.1 503 Service Unavailable" {
                assert_eq!(body, r#"{"status":"draining","checks":[]}"#);
                break;
            }
        }
    })
    .await
    .expect("readiness did not follow the drain");
    timeout(LONG, pages.serving).await.expect("a silent connection held the process").unwrap().unwrap();
    let mut rest = Vec::new();
    timeout(LONG, silent.read_to_end(&mut rest)).await.expect("the socket is still open").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_head_that_does_not_end_is_cut_off() {
    let pages = Pages::start(Shutdown::manual()).await;
    let mut slow = TcpStream::connect(pages.address).await.unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: ").await.unwrap();
    let started = tokio::time::Instant::now();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 10);
}
