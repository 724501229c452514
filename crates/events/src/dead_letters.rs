//! What consumers gave up: to be looked at, delivered once more, or dropped, by a person.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::RawMessageErrorKind;
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::{headers, streams};

/// Bounds every request to the server.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// One message that a consumer gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its place among the dead letters; what it is called by.
    pub stream_seq: u64,
    /// Who gave it up.
    pub consumer: String,
    /// The subject it came on.
    pub subject: String,
    /// The event's id; empty when the message had none.
    pub event_id: String,
    /// How often it was tried; 0 when unknown.
    pub attempts: u64,
    /// Why it was given up.
    pub reason: String,
    /// When it was given up.
    pub time: OffsetDateTime,
}

/// The stream of dead letters, `MC_DLQ`.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    jetstream: jetstream::Context,
}

impl DeadLetters {
    /// The dead letters on `nats`; nothing is asked yet.
    pub fn new(nats: async_nats::Client) -> Self {
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_DEADLINE)
            .ack_timeout(REQUEST_DEADLINE)
            .build(nats);
        Self { jetstream }
    }

    /// The oldest letters, at most `limit`.
    ///
    /// # Errors
    /// When NATS is away or the stream does not exist.
    pub async fn list(&self, limit: usize) -> anyhow::Result<Vec<DeadLetter>> {
        let stream = self.stream().await?;
        let mut letters = Vec::new();
        let mut from = 1;
        while letters.len() < limit {
            let asked = stream.raw_message_builder().sequence(from).next_by_subject("dlq.>").send();
            let message = match timeout(REQUEST_DEADLINE, asked).await? {
                Ok(message) => message,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => break,
                Err(error) => return Err(error).context("reading the dead letters"),
            };
            from = message.sequence + 1;
            letters.push(letter(&message)?);
        }
        Ok(letters)
    }

    /// Puts letter `stream_seq` back on the stream of mutations, for the consumer that gave it up and no other,
    /// and takes it from the dead letters. Its attempts are counted anew.
    ///
    /// # Errors
    /// When there is no such letter, or NATS is away; then the letter stays.
    pub async fn redeliver(&self, stream_seq: u64) -> anyhow::Result<DeadLetter> {
        let message = self.message(stream_seq).await?;
        let letter = letter(&message)?;
        ensure!(letter.subject.starts_with("mc."), "letter {stream_seq} does not say where it came from");
        let mut again = HeaderMap::new();
        for (name, values) in message.headers.iter() {
            let text = name.to_string().to_ascii_lowercase();
            if text.starts_with("nats-") || text.starts_with("mc-dead-") {
                continue;
            }
            for value in values {
                again.append(name.clone(), value.clone());
            }
        }
        again.insert(headers::ONLY_FOR, letter.consumer.as_str());
        let publish = PublishMessage::build()
            .payload(message.payload.clone())
            .headers(again)
            // Should the letter stay although this arrived, a second try within ten minutes is no second copy.
            .message_id(format!("again:{}:{stream_seq}:{}", letter.consumer, letter.event_id))
            .expected_stream(streams::MUTATIONS);
        let ack = self.jetstream.send_publish(letter.subject.clone(), publish).await.context("publishing")?;
        timeout(REQUEST_DEADLINE, ack.into_future()).await?.context("the stream did not take the message")?;
        self.drop_letter(stream_seq).await?;
        Ok(letter)
    }

    /// Deletes letter `stream_seq` for good.
    ///
    /// # Errors
    /// When there is no such letter, or NATS is away.
    pub async fn discard(&self, stream_seq: u64) -> anyhow::Result<DeadLetter> {
        let letter = letter(&self.message(stream_seq).await?)?;
        self.drop_letter(stream_seq).await?;
        Ok(letter)
    }

    async fn drop_letter(&self, stream_seq: u64) -> anyhow::Result<()> {
        let stream = self.stream().await?;
        let deleted = timeout(REQUEST_DEADLINE, stream.delete_message(stream_seq)).await?;
        ensure!(deleted.context("deleting the letter")?, "letter {stream_seq} was not deleted");
        Ok(())
    }

    async fn message(&self, stream_seq: u64) -> anyhow::Result<StreamMessage> {
        let stream = self.stream().await?;
        match timeout(REQUEST_DEADLINE, stream.get_raw_message(stream_seq)).await? {
            Ok(message) => Ok(message),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                bail!("there is no dead letter {stream_seq}")
            }
            Err(error) => Err(error).context("reading the dead letter"),
        }
    }

    async fn stream(&self) -> anyhow::Result<jetstream::stream::Stream<()>> {
        let asked = self.jetstream.get_stream_no_info(streams::DEAD_LETTERS);
        timeout(REQUEST_DEADLINE, asked).await?.context("opening the dead letters")
    }
}

fn letter(message: &StreamMessage) -> anyhow::Result<DeadLetter> {
    let text =
        |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
    let consumer = text(headers::DEAD_CONSUMER);
    let mut subject = text(headers::DEAD_SUBJECT);
    if subject.is_empty() {
        // As written by a version that did not say so: `dlq.<consumer>.<subject>`.
        let prefix = format!("dlq.{consumer}.");
        subject = message.subject.strip_prefix(&prefix).unwrap_or_default().to_owned();
    }
    Ok(DeadLetter {
        stream_seq: message.sequence,
        consumer,
        subject,
        event_id: text(headers::EVENT_ID),
        attempts: text(headers::DEAD_ATTEMPTS).parse().unwrap_or(0),
        reason: text(headers::DEAD_REASON),
        time: OffsetDateTime::from_unix_timestamp_nanos(message.time.unix_timestamp_nanos())
            .context("the letter has no time")?,
    })
}
