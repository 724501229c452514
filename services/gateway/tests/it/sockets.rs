//! The listener by real sockets: what is sent byte by byte, too much, too slowly, or not as HTTP asks.

use std::time::{Duration, Instant};

use gateway::listener::Patience;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::shop::{Gateway, PATIENCE, config};

/// Short, so that the tests are; the proportions are those of the real one.
fn short() -> Patience {
    Patience {
        first_byte: Duration::from_millis(300),
        head: Duration::from_millis(600),
        body: Duration::from_millis(600),
        stall: Duration::from_millis(600),
        bytes_per_s: 1 << 30,
    }
}

async fn impatient() -> Gateway {
    Gateway::start(testkit::jwt::key_set(), config, short()).await
}

async fn patient() -> Gateway {
    Gateway::start(testkit::jwt::key_set(), config, Patience::default()).await
}

async fn connect(gateway: &Gateway) -> TcpStream {
    TcpStream::connect(gateway.addr).await.expect("the gateway listens")
}

/// Sends bytes and reads until the gateway closes.
async fn exchange(gateway: &Gateway, request: &[u8]) -> String {
    let mut socket = connect(gateway).await;
    socket.write_all(request).await.expect("the gateway reads");
    until_closed(&mut socket).await
}

async fn until_closed(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is as good an end as any.
    let _ =
        tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the gateway closes");
    String::from_utf8_lossy(&answer).into_owned()
}

fn check(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status} expected: {answer}");
    assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{code} expected: {answer}");
    assert!(answer.to_lowercase().contains("x-request-id: "), "{answer}");
}

#[tokio::test]
async fn live_answers_and_raw_utf8_reaches_the_handler() {
    let gateway = patient().await;
    let live = exchange(&gateway, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(live.starts_with("HTTP/1.1 200 "), "{live}");
    assert!(live.ends_with(r#"{"status":"live"}"#), "{live}");

    // The catalog is away, so the parsed search gets as far as asking it.
    let request = "GET /api/v1/products?search=café HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    check(&exchange(&gateway, request.as_bytes()).await, 503, "upstream_unavailable");
    let request = "GET /api/v1/products?séarch=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(&gateway, request.as_bytes()).await;
    check(&answer, 400, "invalid_parameter");
    assert!(answer.contains(r#""parameter":"séarch""#), "{answer}");
}

#[tokio::test]
async fn a_request_may_arrive_byte_by_byte() {
    let gateway = patient().await;
    let mut socket = connect(&gateway).await;
    socket.set_nodelay(true).expect("a TCP option");
    for byte in "GET /health/live?é HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".as_bytes() {
        socket.write_all(&[*byte]).await.expect("the gateway reads");
        tokio::task::yield_now().await;
    }
    let answer = until_closed(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_a_bad_one_ends_it() {
    let gateway = patient().await;
    let answers = exchange(
        &gateway,
        "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /ü HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/9\r\nHost: x\r\n\r\n\
         GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
            .as_bytes(),
    )
    .await;
    let statuses: Vec<_> = answers.matches("HTTP/1.1 ").collect();
    assert_eq!(statuses.len(), 3, "{answers}");
    let (live, rest) = answers.split_once(r#"{"status":"live"}"#).expect("the first is answered first");
    assert!(live.starts_with("HTTP/1.1 200 "));
    assert!(rest.contains(r#""instance":"/%C3%BC""#), "{rest}");
    assert!(rest.contains(r#""code":"bad_request""#), "{rest}");
}

#[tokio::test]
async fn what_is_too_long_is_refused_with_the_right_status() {
    let gateway = patient().await;
    let line = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    check(&exchange(&gateway, line.as_bytes()).await, 414, "uri_too_long");
    let header = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(64_000));
    check(&exchange(&gateway, header.as_bytes()).await, 431, "headers_too_large");
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(200));
    check(&exchange(&gateway, many.as_bytes()).await, 431, "headers_too_large");
    let query = format!(
        "GET /api/v1/products?x={} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "a".repeat(5_000)
    );
    check(&exchange(&gateway, query.as_bytes()).await, 400, "invalid_parameter");
}

#[tokio::test]
async fn ambiguous_framing_is_refused_and_nothing_behind_it_is_handled() {
    let gateway = patient().await;
    for headers in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Content-Length: 3\r\nContent-Length: 4",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: 3\r\n folded",
        "Host: y",
    ] {
        let request = format!(
            "POST /api/v1/admin/products HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\n\
             Host: x\r\n\r\n"
        );
        let answer = exchange(&gateway, request.as_bytes()).await;
        check(&answer, 400, "bad_request");
        assert!(!answer.contains("live"), "{headers}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go_without_a_word() {
    let gateway = impatient().await;
    let started = Instant::now();
    assert_eq!(until_closed(&mut connect(&gateway).await).await, "");
    assert!(started.elapsed() >= short().first_byte, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_head_that_never_ends_is_timed_out() {
    let gateway = impatient().await;
    let mut socket = connect(&gateway).await;
    let started = Instant::now();
    socket.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n").await.expect("the gateway reads");
    // Trickling keeps nothing alive.
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while started.elapsed() < short().head {
        ticks.tick().await;
        if socket.write_all(b"X: y\r\n").await.is_err() {
            break;
        }
    }
    check(&until_closed(&mut socket).await, 408, "request_timeout");
    assert!(started.elapsed() < PATIENCE / 2);
}

#[tokio::test]
async fn a_body_that_never_ends_is_timed_out() {
    let gateway = impatient().await;
    for framing in ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"] {
        let mut socket = connect(&gateway).await;
        let request = format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}"
        );
        socket.write_all(request.as_bytes()).await.expect("the gateway reads");
        check(&until_closed(&mut socket).await, 408, "request_timeout");
    }
}

#[tokio::test]
async fn bodies_are_limited_whatever_they_declare() {
    let gateway = patient().await;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let declared = format!("{head}Content-Length: 1048577\r\n\r\n");
    check(&exchange(&gateway, declared.as_bytes()).await, 413, "payload_too_large");

    let mut socket = connect(&gateway).await;
    socket
        .write_all(format!("{head}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes())
        .await
        .expect("it reads");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..20 {
        if socket.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let _ = socket.write_all(b"0\r\n\r\n").await;
    check(&until_closed(&mut socket).await, 413, "payload_too_large");

    let mut socket = connect(&gateway).await;
    socket.write_all(format!("{head}Content-Length: 10\r\n\r\n{{}}").as_bytes()).await.expect("it reads");
    socket.shutdown().await.expect("half closed");
    check(&until_closed(&mut socket).await, 400, "bad_request");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let gateway = impatient().await;
    let mut socket = connect(&gateway).await;
    let request = b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    // Far more answers than the sockets' buffers hold.
    let started = Instant::now();
    let dropped = loop {
        let many: Vec<u8> = request.iter().copied().cycle().take(request.len() * 50).collect();
        match tokio::time::timeout(PATIENCE, socket.write_all(&many)).await {
            Ok(Ok(())) if started.elapsed() < PATIENCE => {}
            Ok(Ok(())) | Err(_) => break false,
            Ok(Err(_)) => break true,
        }
    };
    assert!(dropped, "the gateway keeps a client that takes nothing");
}

#[tokio::test]
async fn methods_that_a_path_does_not_have_are_listed() {
    let gateway = patient().await;
    for method in ["TRACE", "FOO", "OPTIONS", "POST", "DELETE", "CONNECT"] {
        let request = format!("{method} /api/v1/products HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(&gateway, request.as_bytes()).await;
        check(&answer, 405, "method_not_allowed");
        assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn draining_finishes_what_is_under_way_and_then_drops_everybody() {
    let mut gateway = patient().await;
    let mut idle = connect(&gateway).await;
    let mut half = connect(&gateway).await;
    half.write_all(b"GET /health/live HTTP/1.1\r\n").await.expect("the gateway reads");
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the gateway reads");
    let mut answer = [0; 2048];
    let count = idle.read(&mut answer).await.expect("an answer");
    assert!(answer[..count].starts_with(b"HTTP/1.1 200 "));

    gateway.shutdown.drain.cancel();
    assert_eq!(until_closed(&mut idle).await, "", "an idle connection is closed");
    gateway.shutdown.hard.cancel();
    until_closed(&mut half).await;
    let running = gateway.running.take().expect("it was started");
    let ended = tokio::time::timeout(PATIENCE, running).await.expect("it ends in time");
    ended.expect("no panic").expect("no error");
    TcpStream::connect(gateway.addr).await.expect_err("nobody listens");
}
