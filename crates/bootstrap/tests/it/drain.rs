//! A process that stops: what is under way is answered, what hangs cannot hold it.

use std::time::Duration;

use bootstrap::Shutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::probe::{TestServer, request};

const LONG: Duration = Duration::from_secs(30);
/// Far below the drain's own 15 s: whoever ends within this did not wait for it.
const AT_ONCE: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_call_in_flight_is_answered_while_new_connections_are_refused() {
    let server = TestServer::start().await;
    let mut client = server.client();
    let call = tokio::spawn(async move { client.export(request("wait", LONG)).await });
    timeout(LONG, server.probe.entered.notified()).await.unwrap();

    server.shutdown.drain.cancel();
    timeout(LONG, async { while TcpStream::connect(server.address).await.is_ok() {} })
        .await
        .expect("still accepting");
    assert!(!call.is_finished());

    server.probe.release.notify_one();
    assert!(call.await.unwrap().is_ok());
    server.ended(AT_ONCE).await;
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let server = TestServer::start().await;
    let mut client = server.client();
    client.export(request("answer", LONG)).await.unwrap();
    let mut silent = server.connect().await;
    let mut half_preface = server.connect().await;
    half_preface.write_all(b"PRI * HTTP/2").await.unwrap();

    server.shutdown.drain.cancel();
    server.ended(AT_ONCE).await;
    assert_closed(&mut silent).await;
    assert_closed(&mut half_preface).await;
}

#[tokio::test]
async fn while_load_balancers_look_away_everything_is_served() {
    let drain_delay = Duration::from_secs(3);
    let server = TestServer::start_with(Shutdown::manual().with_drain_delay(drain_delay)).await;
    let mut client = server.client();
    client.export(request("answer", LONG)).await.unwrap();
    server.shutdown.drain.cancel();

    let mut health = HealthClient::new(server.channel());
    timeout(LONG, async {
        loop {
            let state = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
            if state.status() == tonic_health::pb::health_check_response::ServingStatus::NotServing {
                break;
            }
        }
    })
    .await
    .expect("health did not follow the drain");
    client.export(request("answer", LONG)).await.unwrap();
    server.client().export(request("answer", LONG)).await.expect("a new connection during the delay");
    server.ended(AT_ONCE).await;
}

#[tokio::test]
async fn the_hard_end_drops_every_socket() {
    let server = TestServer::start().await;
    let mut silent = server.connect().await;
    let mut half_preface = server.connect().await;
    half_preface.write_all(b"PRI * HTTP/2").await.unwrap();
    // A whole preface and then nothing, not even an answer to pings.
    let mut frozen = server.connect().await;
    frozen.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut health = HealthClient::new(server.channel());
    let mut stream = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap();
    let mut client = server.client();
    let hanging = tokio::spawn(async move { client.export(request("wait", LONG)).await });
    timeout(LONG, server.probe.entered.notified()).await.unwrap();

    server.shutdown.drain.cancel();
    // The call keeps the drain open until the hard end.
    let TestServer { shutdown, probe, .. } = &server;
    let (shutdown, probe) = (shutdown.clone(), std::sync::Arc::clone(probe));
    shutdown.hard.cancel();
    server.ended(AT_ONCE).await;

    let status = hanging.await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "draining"));
    timeout(LONG, probe.dropped.notified()).await.expect("the handler outlived its connection");
    let end = timeout(LONG, async {
        loop {
            match stream.message().await {
                Ok(Some(_state)) => {}
                other => break other,
            }
        }
    });
    assert_eq!(end.await.unwrap().unwrap_err().code(), Code::Unavailable);
    for socket in [&mut silent, &mut half_preface, &mut frozen] {
        assert_closed(socket).await;
    }
}

/// The peer is gone: the read ends, after whatever was still on its way.
async fn assert_closed(socket: &mut TcpStream) {
    let mut rest = Vec::new();
    let ended = timeout(AT_ONCE, socket.read_to_end(&mut rest)).await.expect("the socket is still open");
    if let Err(error) = ended {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}
