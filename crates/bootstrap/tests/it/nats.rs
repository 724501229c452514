//! The NATS connection against a server that comes and goes.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_client_starts_without_its_server_and_finds_it_later_and_again() {
    let server = testkit::Nats::start().await;
    server.kill().await;
    let client = timeout(Duration::from_secs(5), bootstrap::nats::connect(&server.url(), "test"))
        .await
        .expect("waits for its server")
        .unwrap();

    let mut messages = client.subscribe("greetings").await.unwrap();
    server.restart().await;
    arrives(&client, &mut messages).await;

    server.kill().await;
    server.restart().await;
    arrives(&client, &mut messages).await;
}

/// Publishes until one message comes through: what is sent while the server is away may be lost.
async fn arrives(client: &async_nats::Client, messages: &mut async_nats::Subscriber) {
    testkit::eventually(LONG, "a message over the connection", async || {
        client.publish_with_headers("greetings", async_nats::HeaderMap::new(), "hi".into()).await.ok()?;
        client.flush().await.ok()?;
        timeout(Duration::from_millis(200), messages.next()).await.ok().flatten()
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error_at_once() {
    for url in ["", "nats://", "http://127.0.0.1:4222", "nats://127.0.0.1:port"] {
        let error = bootstrap::nats::connect(url, "test").await.expect_err(url);
        assert!(error.to_string().contains("NATS address"), "{error:#}");
    }
}
