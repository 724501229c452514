//! From a fact to the deliveries that it makes.

use std::time::Duration;

use events::{ConsumerConfig, Delivery, Failure, inbox};
use rls::{Caller, Class, DatabaseError};
use tokio::time::{Instant, sleep};

use super::Webhooks;
use super::message::Message;
use crate::store::webhooks::deliveries;

const DURABLE: &str = "webhooks";
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a message waits for the database here. Given back to the stream it would come again after its
/// successors, and an endpoint could be told of them first.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(250);

/// Reads every fact in the order of the stream; which of them are public is not decided by their subjects.
pub(crate) fn config() -> ConsumerConfig {
    ConsumerConfig::new(DURABLE)
}

/// One fact; most are nobody's business.
pub(crate) async fn handle(webhooks: Webhooks, delivery: Delivery) -> Result<(), Failure> {
    let event = delivery.event().map_err(|unreadable| Failure::Never(unreadable.into()))?;
    let Some(message) = Message::of(&event) else { return Ok(()) };
    let by = Instant::now() + PATIENCE;
    while let Err(error) = webhooks.take_in(message.clone()).await {
        if !error.retryable() || Instant::now() >= by {
            return Err(Failure::Later(error.into()));
        }
        sleep(PAUSE).await;
    }
    webhooks.due.notify_one();
    Ok(())
}

impl Webhooks {
    /// One delivery per endpoint that wants the message, once.
    async fn take_in(&self, message: Message) -> Result<(), DatabaseError> {
        let now = self.clock.now();
        self.db
            .run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
                Box::pin(async move {
                    if !inbox::first_time(tx, DURABLE, &message.id.to_string()).await? {
                        return Ok(());
                    }
                    let endpoints = deliveries::subscribers(tx, &message.patterns()).await?;
                    if !endpoints.is_empty() {
                        deliveries::insert(tx, &endpoints, message.stored(), now).await?;
                    }
                    Ok(())
                })
            })
            .await
            .map(drop)
    }
}
