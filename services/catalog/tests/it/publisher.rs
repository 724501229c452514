//! What orders publishes.

use std::time::Duration;

use ::events::{Event, Fact};
use async_nats::jetstream::{self, message::PublishMessage};
use rls::Caller;
use testkit::eventually;
use time::OffsetDateTime;

/// Longer than any message takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Publishes as another service's relay would.
pub(crate) struct Publisher {
    jetstream: jetstream::Context,
}

impl Publisher {
    /// Declares the streams.
    pub(crate) async fn new(nats_url: &str) -> Self {
        let nats = bootstrap::nats::connect(nats_url, "test").await.unwrap();
        let jetstream = jetstream::new(nats);
        eventually(SOON, "streams", async || ::events::streams::declare(&jetstream, 1).await.ok()).await;
        Self { jetstream }
    }

    /// Publishes a fact, and answers the event.
    pub(crate) async fn publish(&self, version: i64, fact: Fact) -> Event {
        let event = Event::new(&Caller::Service, OffsetDateTime::now_utc(), version, fact);
        self.send(&event, &event.id().to_string()).await;
        event
    }

    /// Publishes an event under any message id: the stream drops what it has seen.
    pub(crate) async fn send(&self, event: &Event, message_id: &str) {
        let message = PublishMessage::build().payload(event.encode().into()).message_id(message_id);
        self.jetstream.send_publish(event.subject(), message).await.unwrap().await.unwrap();
    }

    /// Waits until a durable has answered everything it was given.
    pub(crate) async fn settled(&self, durable: &str) {
        let stream = self.jetstream.get_stream("MC_MUTATIONS").await.unwrap();
        eventually(SOON, "every message answered", async || {
            let info = stream.consumer_info(durable).await.ok()?;
            (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
        })
        .await;
    }
}
