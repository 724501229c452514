//! From a fact to the deliveries that it makes.

use std::time::Duration;

use events::{ConsumerConfig, Delivery, Failure, inbox};
use rls::{Caller, Class, DatabaseError};

use super::Webhooks;
use super::message::{Message, SUBJECTS};
use crate::store::webhooks::deliveries;

const DURABLE: &str = "webhooks";
const DEADLINE: Duration = Duration::from_secs(5);

/// Reads the facts that may be public. To be read in order: an endpoint is told in the order in which deliveries are
/// made.
pub(crate) fn config() -> ConsumerConfig {
    ConsumerConfig { filter_subject: SUBJECTS.to_owned(), ..ConsumerConfig::new(DURABLE) }
}

/// One fact.
pub(crate) async fn handle(webhooks: Webhooks, delivery: Delivery) -> Result<(), Failure> {
    let event = delivery.event().map_err(|unreadable| Failure::Never(unreadable.into()))?;
    let Some(message) = Message::of(&event) else { return Ok(()) };
    webhooks.take_in(message).await.map_err(|error| Failure::Later(error.into()))?;
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
