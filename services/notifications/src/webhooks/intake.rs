//! From a fact to the deliveries that it makes.

use std::time::Duration;

use events::{ConsumerConfig, Delivery, Failure, inbox};
use rls::{Caller, Class, DatabaseError};

use super::Webhooks;
use super::message::Message;
use super::public::SUBJECTS;
use crate::store::webhooks::deliveries;

/// One for each of the subjects: a durable of our oldest server reads one filter.
const DURABLES: [&str; 4] = ["webhooks", "webhooks-orders", "webhooks-payments", "webhooks-stock"];
const DEADLINE: Duration = Duration::from_secs(5);
/// Facts taken in at the same time; those about one thing one after the other.
const CONCURRENCY: usize = 4;

/// Read the facts that may be public. To be read in order: an endpoint is told about one thing in the order in which
/// deliveries are made, and all facts about one thing come through one of them.
pub(crate) fn intakes() -> [ConsumerConfig; 4] {
    std::array::from_fn(|index| ConsumerConfig {
        filter_subject: SUBJECTS[index].to_owned(),
        concurrency: CONCURRENCY,
        ..ConsumerConfig::new(DURABLES[index])
    })
}

/// One fact, from `durable`.
pub(crate) async fn handle(
    webhooks: Webhooks,
    durable: &'static str,
    delivery: Delivery,
) -> Result<(), Failure> {
    let event = delivery.event().map_err(|unreadable| Failure::Never(unreadable.into()))?;
    let Some(message) = Message::of(&event) else { return Ok(()) };
    webhooks.take_in(durable, message).await.map_err(|error| Failure::Later(error.into()))?;
    webhooks.due.notify_one();
    Ok(())
}

impl Webhooks {
    /// One delivery per endpoint that wants the message, once.
    async fn take_in(&self, durable: &'static str, message: Message) -> Result<(), DatabaseError> {
        let now = self.clock.now();
        self.db
            .run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
                Box::pin(async move {
                    if !inbox::first_time(tx, durable, &message.id.to_string()).await? {
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
