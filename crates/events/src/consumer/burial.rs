//! Giving a message up: it goes to the dead letters, with all that is needed to look at it and to try again.

use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, AckKind};
use tokio::time::timeout;

use super::order::{self, Order};
use super::{Consumer, REQUEST_DEADLINE, finish};
use crate::headers;

impl Consumer {
    /// Puts the message among the dead letters; only then is it taken from the stream's deliveries.
    pub(super) async fn give_up(
        &self,
        message: &jetstream::Message,
        order: Option<&Order>,
        reason: &anyhow::Error,
    ) {
        let durable = self.config.durable;
        tracing::error!(
            consumer = durable,
            subject = %message.subject,
            error = format!("{reason:#}"),
            "message given up, see the dead letters"
        );
        match self.bury(message, order, reason).await {
            Ok(()) => self.answer(message, AckKind::Term).await,
            Err(error) => {
                tracing::error!(consumer = durable, error = format!("{error:#}"), "dead letter not stored");
                let delay = self.config.retry_delays.last().copied().unwrap_or_default();
                self.answer(message, AckKind::Nak(Some(delay))).await;
            }
        }
    }

    async fn bury(
        &self,
        message: &jetstream::Message,
        order: Option<&Order>,
        reason: &anyhow::Error,
    ) -> anyhow::Result<()> {
        let info = message.info().map_err(anyhow::Error::from_boxed)?;
        let (stream_seq, attempts) = (info.stream_sequence, info.delivered);
        let event_id = message.headers.as_ref().and_then(order::event_id);
        let mut headers = HeaderMap::new();
        for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
            // The original's id and expectations are about another stream.
            let about_the_original = name.to_string().to_ascii_lowercase().starts_with("nats-");
            for value in values.iter().filter(|_| !about_the_original) {
                headers.append(name.clone(), value.clone());
            }
        }
        let line: String =
            format!("{reason:#}").chars().map(|c| if c.is_control() { ' ' } else { c }).take(512).collect();
        headers.insert(headers::DEAD_REASON, line);
        headers.insert(headers::DEAD_CONSUMER, self.config.durable);
        headers.insert(headers::DEAD_SEQUENCE, stream_seq.to_string());
        headers.insert(headers::DEAD_SUBJECT, message.subject.as_str());
        headers.insert(headers::DEAD_ATTEMPTS, attempts.to_string());
        if let Some(event_id) = &event_id {
            headers.insert(headers::EVENT_ID, event_id.as_str());
        }
        let letter = PublishMessage::build().payload(message.payload.clone()).headers(headers).message_id(
            format!("{}:{stream_seq}:{}", self.config.durable, event_id.as_deref().unwrap_or_default()),
        );
        let subject = format!("dlq.{}.{}", self.config.durable, message.subject);
        // Without the inbox the message cannot be given up: it comes again, and may succeed. A letter sent now
        // would speak of a message that nobody has given up.
        if let (Some(order), Some(event_id)) = (order, &event_id) {
            order.is_finished(event_id, stream_seq).await.context("reading the inbox")?;
        }
        let ack = self.jetstream.send_publish(subject, letter).await.context("sending the dead letter")?;
        timeout(REQUEST_DEADLINE, ack.into_future())
            .await
            .context("waiting for the dead letter's acknowledgement")?
            .context("storing the dead letter")?;
        finish(order, event_id.map(|id| order::dead(&id, stream_seq))).await
    }
}
