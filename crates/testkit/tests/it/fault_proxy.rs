//! The network that misbehaves on demand.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use testkit::{FaultProxy, Flow, Toxics, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(150);

/// A proxy in front of a server that answers every byte with itself.
async fn echo() -> FaultProxy {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
    let addr = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    FaultProxy::start(addr).await
}

async fn round_trip(stream: &mut TcpStream) -> std::io::Result<Duration> {
    let started = Instant::now();
    stream.write_all(b"x").await?;
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    Ok(started.elapsed())
}

#[tokio::test]
async fn passes_bytes_on_and_delays_each_direction() {
    let proxy = echo().await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();

    proxy.delay_to_client(Duration::from_millis(100));
    assert!(round_trip(&mut stream).await.unwrap() >= Duration::from_millis(100));
    proxy.delay(Duration::from_millis(80));
    assert!(round_trip(&mut stream).await.unwrap() >= Duration::from_millis(160));

    proxy.heal();
    assert!(round_trip(&mut stream).await.unwrap() < Duration::from_millis(80));
}

#[tokio::test]
async fn a_delay_does_not_slow_the_flow() {
    let proxy = echo().await;
    proxy.delay(Duration::from_millis(50));
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    let started = Instant::now();
    let (mut from, mut to) = stream.split();
    let sent = vec![7; 2 << 20];
    let mut received = vec![0; sent.len()];
    let (wrote, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut received));
    wrote.unwrap();
    read.unwrap();
    assert_eq!(received, sent);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_cut_breaks_connections_and_refuses_new_ones_until_healed() {
    let proxy = echo().await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();

    proxy.cut();
    let broken = timeout(LONG, round_trip(&mut stream)).await.expect("a cut connection must not hang");
    assert!(broken.is_err());
    eventually(LONG, "new connections are refused", async || match TcpStream::connect(proxy.addr()).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Some(()),
        _ => None,
    })
    .await;

    proxy.heal();
    eventually(LONG, "new connections work", async || {
        let mut stream = TcpStream::connect(proxy.addr()).await.ok()?;
        round_trip(&mut stream).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_freeze_holds_everything_back_and_loses_nothing() {
    let proxy = echo().await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();

    proxy.freeze();
    assert!(timeout(SHORT, round_trip(&mut stream)).await.is_err(), "nothing may pass");
    proxy.heal();

    let mut byte = [0];
    timeout(LONG, stream.read_exact(&mut byte)).await.unwrap().unwrap();
    assert_eq!(&byte, b"x", "what was held back arrives");
}

#[tokio::test]
async fn rewrites_the_address_of_a_url() {
    let proxy = echo().await;
    let url = proxy.url("postgres://mc_catalog:secret@127.0.0.1:5432/t_catalog_1?x=y");
    assert_eq!(url, format!("postgres://mc_catalog:secret@127.0.0.1:{}/t_catalog_1?x=y", proxy.port()));
}

#[tokio::test]
async fn one_direction_is_held_back_alone() {
    let proxy = echo().await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();

    proxy.poison_to_client(Toxics { flow: Flow::Held, ..Toxics::default() });
    assert!(timeout(SHORT, round_trip(&mut stream)).await.is_err(), "no answer may arrive");
    proxy.heal();
    let mut byte = [0];
    timeout(LONG, stream.read_exact(&mut byte)).await.unwrap().unwrap();
    assert_eq!(&byte, b"x", "the question did arrive");
}

#[tokio::test]
async fn a_connection_that_lost_bytes_is_reset_when_the_network_is_well_again() {
    let proxy = echo().await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();

    proxy.poison_to_server(Toxics { flow: Flow::Swallowed, ..Toxics::default() });
    assert!(timeout(SHORT, round_trip(&mut stream)).await.is_err(), "what is lost has no answer");
    proxy.heal();
    let mut byte = [0];
    let read = timeout(LONG, stream.read_exact(&mut byte)).await.expect("it must not hang");
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_connection_ends_at_its_mark_by_a_reset_or_in_order() {
    let proxy = echo().await;
    let ends = [(Flow::ResetAfter(3), Some(ErrorKind::ConnectionReset)), (Flow::ClosedAfter(3), None)];
    for (flow, expected) in ends {
        proxy.poison_to_client(Toxics { flow, ..Toxics::default() });
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        stream.write_all(b"12345").await.unwrap();
        let mut received = Vec::new();
        let read = timeout(LONG, stream.read_to_end(&mut received)).await.expect("it must not hang");
        assert_eq!(read.err().map(|error| error.kind()), expected, "{flow:?}");
        assert!(expected.is_some() || received == b"123", "{flow:?}: {received:?}");
    }
}

#[tokio::test]
async fn a_half_open_connection_does_not_say_that_the_sender_left() {
    let proxy = echo().await;
    proxy.poison_to_server(Toxics { flow: Flow::HalfOpen, ..Toxics::default() });
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut byte = [0];
    assert!(timeout(SHORT, stream.read(&mut byte)).await.is_err(), "the echo must not know");
    proxy.heal();
    let read = timeout(LONG, stream.read(&mut byte)).await.expect("it must not hang");
    assert_eq!(read.unwrap(), 0);
}

#[tokio::test]
async fn a_thin_link_lets_so_much_through_a_second_and_keeps_the_order() {
    let proxy = echo().await;
    proxy.poison_to_client(Toxics {
        bandwidth: Some(64 * 1024),
        jitter: Duration::from_millis(20),
        slice_bytes: Some(1_000),
        ..Toxics::default()
    });
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    let sent: Vec<u8> = (0..32 * 1024_u32).map(|index| index.to_le_bytes()[0]).collect();
    let started = Instant::now();
    stream.write_all(&sent).await.unwrap();
    let mut received = vec![0; sent.len()];
    timeout(LONG, stream.read_exact(&mut received)).await.unwrap().unwrap();
    assert_eq!(received, sent);
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
}
