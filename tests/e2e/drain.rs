//! SIGTERM: nobody's request fails, and nothing can hold the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::{
    client::Client,
    health_proxy::HealthProxy,
    shop::{Options, Service, Shop},
};

/// Both gateways restart one after the other under load behind a proxy that follows their health.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_request() {
    let mut options = Options::default();
    options.environment.push(("MESTRES_DRAIN_DELAY_S", "1".to_owned()));
    let mut shop = Shop::open_with(options).await;
    let proxy = HealthProxy::start(vec![shop.gateway_address(0), shop.gateway_address(1)]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for index in 0..8 {
        let (stop, answered, address) = (Arc::clone(&stop), Arc::clone(&answered), proxy.address());
        clients.spawn(async move {
            let client = Client::new(address);
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let path = format!("/api/v1/products/{}", index + 1);
                match Client::try_send(client.request(reqwest::Method::GET, &path)).await {
                    Ok(answer) if answer.status == 200 => {}
                    Ok(answer) => failures.push(format!("{}: {}", answer.status, answer.text())),
                    Err(error) => failures.push(format!("{error:?}")),
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            failures
        });
    }
    for gateway in [Service::Gateway(0), Service::Gateway(1)] {
        let before = answered.load(Ordering::Relaxed);
        shop.terminate(gateway);
        assert!(shop.wait_until_gone(gateway).await, "{gateway:?} left with an error");
        shop.spawn(gateway);
        shop.wait_until_ready(gateway).await;
        // The proxy must have seen it come back before the other one may go.
        testkit::eventually(Duration::from_secs(10), "traffic went on", async || {
            (answered.load(Ordering::Relaxed) > before + 200).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(failures) = clients.join_next().await {
        assert_eq!(failures.unwrap(), Vec::<String>::new());
    }
    assert!(answered.load(Ordering::Relaxed) > 400);
}

/// A connection that says nothing, one in the middle of a head, one in the middle of a body: none of
/// them keeps a draining process alive beyond the hard deadline of 20 s.
#[tokio::test(flavor = "multi_thread")]
async fn hanging_clients_cannot_hold_a_draining_gateway() {
    let mut shop = Shop::open().await;
    let mut hanging = Vec::new();
    for start in [
        "",
        "GET /api/v1/prod",
        "POST /api/v1/admin/products HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(shop.gateway_address(0)).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        hanging.push(stream);
    }
    let asked = Instant::now();
    shop.terminate(Service::Gateway(0));
    assert!(shop.wait_until_gone(Service::Gateway(0)).await);
    assert!(asked.elapsed() < Duration::from_secs(25), "{:?}", asked.elapsed());
}

/// Every other service leaves cleanly too.
#[tokio::test(flavor = "multi_thread")]
async fn every_service_leaves_with_success_on_sigterm() {
    let mut shop = Shop::open().await;
    shop.client(0).get("/api/v1/products").await;
    for service in
        [Service::Gateway(0), Service::Gateway(1), Service::Catalog, Service::Invalidator, Service::Metrics]
    {
        shop.terminate(service);
        assert!(shop.wait_until_gone(service).await, "{service:?}:\n{}", shop.log(service));
    }
}
