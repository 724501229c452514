//! What the relays of all configured services said last.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use events::relay::heartbeat_subject;
use futures_util::stream::{StreamExt as _, select_all};
use prost::Message as _;
use proto::events::v1::RelayHeartbeat;

use crate::domain::RelayState;

/// Pause before another subscription.
const PAUSE: Duration = Duration::from_millis(250);

/// The last heartbeat of every configured service.
#[derive(Debug)]
pub(crate) struct Relays {
    services: Vec<String>,
    heard: Mutex<Vec<Option<(Instant, RelayHeartbeat)>>>,
}

impl Relays {
    pub(crate) fn new(services: &[String]) -> Self {
        Self { services: services.to_vec(), heard: Mutex::new(vec![None; services.len()]) }
    }

    /// Listens as long as it is polled; reconnections included.
    pub(crate) async fn listen(&self, nats: &async_nats::Client) {
        loop {
            let error = match self.subscribed(nats).await {
                Ok(()) => "the subscription ended".to_owned(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(error, "heartbeats of the relays are not heard");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn subscribed(&self, nats: &async_nats::Client) -> Result<(), async_nats::SubscribeError> {
        let mut subscriptions = Vec::with_capacity(self.services.len());
        for (index, service) in self.services.iter().enumerate() {
            let beats = nats.subscribe(heartbeat_subject(service)).await?;
            subscriptions.push(beats.map(move |message| (index, message)));
        }
        let mut beats = select_all(subscriptions);
        while let Some((index, message)) = beats.next().await {
            match RelayHeartbeat::decode(message.payload) {
                Ok(beat) => self.locked()[index] = Some((Instant::now(), beat)),
                Err(error) => tracing::warn!(subject = %message.subject, %error, "heartbeat cannot be read"),
            }
        }
        Ok(())
    }

    /// Every configured service with what it said last.
    pub(crate) fn states(&self) -> Vec<(&str, Option<RelayState>)> {
        let heard = self.locked();
        let state = |(at, beat): &(Instant, RelayHeartbeat)| RelayState {
            age: at.elapsed(),
            oldest_pending: Duration::from_millis(beat.oldest_pending_ms),
            stream_seq: beat.stream_seq,
            published_xmin: beat.published_xmin,
        };
        self.services
            .iter()
            .map(String::as_str)
            .zip(heard.iter().map(|beat| beat.as_ref().map(state)))
            .collect()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Option<(Instant, RelayHeartbeat)>>> {
        self.heard.lock().expect("nobody panics while holding it")
    }
}
