//! A durable consumer of mutation events: each message is handled, tried again, or given up aloud.

mod burial;
mod order;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind};
use bootstrap::trace::{self, Edge, Parent};
use bytes::Bytes;
use futures_util::StreamExt as _;
use opentelemetry::KeyValue;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanKind;
use rls::Database;
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::event::{Event, UnreadableEvent};
use crate::{headers, streams};
use order::Order;

/// Messages under way per consumer.
const ACK_PENDING_MAX: i64 = 256;
/// Pull requests last so long and are kept alive at this pace; two missed beats mean a dead link.
const PULL_EXPIRES: Duration = Duration::from_secs(20);
const PULL_HEARTBEAT: Duration = Duration::from_secs(2);
/// Pause before another attempt to subscribe.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_millis(500);
/// Bounds every request to the server.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
/// When so long nothing has come after a stop, nothing is on its way any more.
const QUIET: Duration = Duration::from_millis(100);
/// Back to the server, but not at once: until the subscription is gone it would bring it to us again.
const GIVE_BACK: AckKind = AckKind::Nak(Some(Duration::from_millis(500)));

/// What a consumer reads, and how patiently.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// The durable's name; replicas of a service share it.
    pub durable: &'static str,
    /// Subjects to read; all of them by default.
    pub filter_subject: String,
    /// Messages handled at the same time. In an unordered consumer, 1 keeps the order of the stream as long as
    /// none has to be tried again.
    pub concurrency: usize,
    /// The server delivers again what was not answered for so long, to another replica perhaps. A
    /// handler is stopped a sixth earlier.
    pub ack_wait: Duration,
    /// Pause before the second, third, … attempt.
    pub retry_delays: Vec<Duration>,
    /// Attempts before the message goes to the dead letters.
    pub attempts_max: i64,
}

impl ConsumerConfig {
    /// Reads every event in order; 30 s for each; 5 attempts after 1, 5, 30 and 120 s.
    pub fn new(durable: &'static str) -> Self {
        Self {
            durable,
            filter_subject: "mc.>".to_owned(),
            concurrency: 1,
            ack_wait: Duration::from_secs(30),
            retry_delays: [1, 5, 30, 120].map(Duration::from_secs).to_vec(),
            attempts_max: 5,
        }
    }
}

/// One message, as a handler gets it. It may come more than once.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message's subject.
    pub subject: String,
    /// The event's id, `None` when the message has none: it is not from our relay.
    pub event_id: Option<Uuid>,
    /// What the producer said becomes stale, `None` when the message does not say.
    pub tags: Option<Vec<String>>,
    /// A write-ahead log position at or after the event's commit; 0 when unknown.
    pub commit_lsn: u64,
    /// Where the message is in its stream.
    pub stream_seq: u64,
    /// The attempt, from 1.
    pub attempt: i64,
    payload: Bytes,
}

impl Delivery {
    /// The event itself.
    ///
    /// # Errors
    /// When the payload is no event that this version knows.
    pub fn event(&self) -> Result<Event, UnreadableEvent> {
        Event::decode(&self.payload)
    }
}

/// Why a handler did not handle a message.
#[derive(Debug)]
pub enum Failure {
    /// Another attempt may succeed.
    Later(anyhow::Error),
    /// No attempt can succeed: straight to the dead letters.
    Never(anyhow::Error),
}

/// A durable pull consumer of `MC_MUTATIONS`.
#[derive(Debug, Clone)]
pub struct Consumer {
    config: Arc<ConsumerConfig>,
    jetstream: jetstream::Context,
    /// Whose inbox says what is finished; `None` when order does not matter.
    inbox: Option<Database>,
}

/// What the messages under way share.
struct Reading<'c, H> {
    handler: &'c H,
    order: Option<Order>,
    permits: Semaphore,
    /// No further messages are read; those that wait for their turn need not wait any longer.
    ending: CancellationToken,
}

impl Consumer {
    /// A consumer over `nats` whose effects may happen in any order, such as purges: a message that is to be tried
    /// again does not hold up later ones. Nothing happens before [`run`](Self::run).
    pub fn new(config: ConsumerConfig, nats: async_nats::Client) -> Self {
        let jetstream = jetstream::context::ContextBuilder::new().timeout(REQUEST_DEADLINE).build(nats);
        Self { config: Arc::new(config), jetstream, inbox: None }
    }

    /// A consumer that handles the messages of each aggregate in the order of the stream, whichever replica
    /// handles them: later ones wait until an earlier one is handled or among the dead letters. Other aggregates
    /// go on. The inbox of `db` is where replicas tell each other; handlers use it too ([`crate::inbox`]), with the
    /// durable's name as consumer and the event's id as message id.
    pub fn ordered(config: ConsumerConfig, nats: async_nats::Client, db: Database) -> Self {
        Self { inbox: Some(db), ..Self::new(config, nats) }
    }

    /// Makes the durable, or finds it.
    ///
    /// # Errors
    /// When NATS is away or the stream does not exist.
    pub async fn declare(&self) -> anyhow::Result<PullConsumer> {
        let stream = self.jetstream.get_stream(streams::MUTATIONS).await.context("opening the stream")?;
        let config = pull::Config {
            durable_name: Some(self.config.durable.to_owned()),
            filter_subject: self.config.filter_subject.clone(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.config.ack_wait,
            max_ack_pending: ACK_PENDING_MAX,
            // The application counts: it has somewhere to put what it gives up.
            max_deliver: -1,
            ..pull::Config::default()
        };
        stream.get_or_create_consumer(self.config.durable, config).await.context("opening the durable")
    }

    /// Handles messages until `shutdown`, then finishes those under way. Survives the absence of
    /// NATS, of the stream, and of the durable.
    pub async fn run<H, F>(&self, shutdown: CancellationToken, handler: H)
    where
        H: Fn(Delivery) -> F + Send + Sync,
        F: Future<Output = Result<(), Failure>> + Send,
    {
        while !shutdown.is_cancelled() {
            if let Err(error) = self.read(&shutdown, &handler).await {
                tracing::warn!(
                    consumer = self.config.durable,
                    error = format!("{error:#}"),
                    "consumer starts over"
                );
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(RESUBSCRIBE_PAUSE) => {}
                }
            }
        }
    }

    /// Reads until shutdown, or until the subscription is lost.
    async fn read<H, F>(&self, shutdown: &CancellationToken, handler: &H) -> anyhow::Result<()>
    where
        H: Fn(Delivery) -> F + Send + Sync,
        F: Future<Output = Result<(), Failure>> + Send,
    {
        let durable = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            durable = self.declare() => durable?,
        };
        let ending = shutdown.child_token();
        let order = match &self.inbox {
            Some(db) => {
                let filter = self.config.filter_subject.clone();
                Some(Order::new(db.clone(), self.config.durable, filter, &self.jetstream).await?)
            }
            None => None,
        };
        let batch = usize::try_from(ACK_PENDING_MAX).expect("a small number");
        // In order, those that wait for their turn must not keep others from theirs.
        let under_way = if order.is_some() { batch } else { self.config.concurrency };
        let permits = Semaphore::new(self.config.concurrency);
        let reading = Reading { handler, order, permits, ending };
        let mut messages = durable
            .stream()
            .max_messages_per_batch(batch)
            .expires(PULL_EXPIRES)
            .heartbeat(PULL_HEARTBEAT)
            .messages()
            .await
            .context("subscribing")?;
        let mut lost = None;
        {
            let handled = messages
                .by_ref()
                .take_until(reading.ending.cancelled())
                .map(|message| async {
                    self.handle(message.context("waiting for messages")?, &reading).await;
                    anyhow::Ok(())
                })
                .buffer_unordered(under_way);
            let mut handled = pin!(handled);
            while let Some(outcome) = handled.next().await {
                if let Err(error) = outcome {
                    // What is under way is finished all the same: the server would bring it again only after
                    // its patience is over.
                    reading.ending.cancel();
                    lost = Some(error);
                }
            }
        }
        // What nobody began, also what is still on its way: another replica need not wait for the server's
        // patience.
        let until_quiet = async {
            while let Ok(Some(Ok(message))) = timeout(QUIET, messages.next()).await {
                self.answer(&message, GIVE_BACK).await;
            }
        };
        // The server may bring the same ones again; whatever is left then waits for its patience.
        let _noisy = timeout(QUIET * 10, until_quiet).await;
        lost.map_or(Ok(()), Err)
    }

    /// One message: its turn, its handler, and what the outcome means for the server.
    async fn handle<H, F>(&self, message: jetstream::Message, reading: &Reading<'_, H>)
    where
        H: Fn(Delivery) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let Ok(delivery) = delivery(&message) else {
            // Without its place in a stream it is none of the server's deliveries; nothing to answer.
            tracing::error!(subject = %message.subject, "message without delivery information");
            return;
        };
        if message.headers.as_ref().is_some_and(|headers| !order::is_for(headers, self.config.durable)) {
            self.answer(&message, AckKind::Ack).await;
            return;
        }
        let place =
            reading.order.as_ref().and_then(|order| order.enter(&delivery.subject, delivery.stream_seq));
        let turn = async {
            if let Some(place) = &place {
                place.turn().await;
            }
            reading.permits.acquire().await.expect("the semaphore is never closed")
        };
        let Some(_permit) = self.wait(&message, reading, turn).await else {
            self.answer(&message, GIVE_BACK).await;
            return;
        };
        let producer = trace::message_context(message.headers.as_ref());
        let edge =
            Edge::start(SpanKind::Consumer, "process MC_MUTATIONS", Parent::Sampled(&producer), || {
                vec![
                    KeyValue::new("messaging.system", "nats"),
                    KeyValue::new("messaging.operation.type", "process"),
                    KeyValue::new("messaging.destination.name", streams::MUTATIONS),
                    KeyValue::new("messaging.consumer.group.name", self.config.durable),
                    KeyValue::new("messaging.message.id", delivery.event_id.unwrap_or_default().to_string()),
                ]
            });
        let attempt = delivery.attempt;
        let message_id = delivery.event_id.map(|id| id.to_string());
        let deadline = self.config.ack_wait * 5 / 6;
        let worked = timeout(deadline, (reading.handler)(delivery).with_context(edge.context())).await;
        let failure = match worked {
            Ok(Ok(())) => match finish(reading.order.as_ref(), message_id).await {
                Ok(()) => {
                    if let Some(place) = &place {
                        place.done();
                    }
                    if failpoints::hit("cs.after_commit_before_ack").await.is_ok() {
                        self.answer(&message, AckKind::Ack).await;
                    }
                    return;
                }
                // The inbox did not take it; once more, and the effect is not repeated.
                Err(error) => Failure::Later(error),
            },
            Ok(Err(failure)) => failure,
            Err(_late) => Failure::Later(anyhow::anyhow!("the handler took longer than {deadline:?}")),
        };
        edge.fail("handler_failed");
        match failure {
            Failure::Later(error) if attempt < self.config.attempts_max => {
                let tried = usize::try_from(attempt - 1).unwrap_or(0);
                let delays = &self.config.retry_delays;
                let delay = delays.get(tried).or(delays.last()).copied().unwrap_or_default();
                tracing::warn!(
                    consumer = self.config.durable,
                    subject = %message.subject,
                    attempt,
                    error = format!("{error:#}"),
                    "message not handled, trying again in {delay:?}"
                );
                self.answer(&message, AckKind::Nak(Some(delay))).await;
            }
            Failure::Later(error) | Failure::Never(error) => {
                self.give_up(&message, reading.order.as_ref(), &error).await;
            }
        }
    }

    /// Waits for `turn` and tells the server that the message is not forgotten. `None` when reading ends.
    async fn wait<H, T>(
        &self,
        message: &jetstream::Message,
        reading: &Reading<'_, H>,
        turn: impl Future<Output = T>,
    ) -> Option<T> {
        let pace = self.config.ack_wait / 3;
        let mut beat = interval_at(Instant::now() + pace, pace);
        let mut waited = false;
        let mut turn = pin!(turn);
        loop {
            tokio::select! {
                biased;
                taken = &mut turn => {
                    if waited {
                        // The handler has the server's whole patience.
                        self.answer(message, AckKind::Progress).await;
                    }
                    return Some(taken);
                }
                () = reading.ending.cancelled() => return None,
                _ = beat.tick() => {
                    waited = true;
                    self.answer(message, AckKind::Progress).await;
                }
            }
        }
    }

    /// A lost answer only means one more delivery.
    async fn answer(&self, message: &jetstream::Message, kind: AckKind) {
        if let Err(error) = message.ack_with(kind).await {
            tracing::warn!(consumer = self.config.durable, error, "answer to the stream not sent");
        }
    }
}

/// Lets later messages of the aggregate go on.
async fn finish(order: Option<&Order>, message_id: Option<String>) -> anyhow::Result<()> {
    failpoints::hit("cs.before_commit").await?;
    match (order, message_id) {
        (Some(order), Some(message_id)) => order.finish(message_id).await.context("writing the inbox"),
        _ => Ok(()),
    }
}

fn delivery(message: &jetstream::Message) -> Result<Delivery, async_nats::Error> {
    let info = message.info()?;
    let headers = message.headers.as_ref();
    let text = |name: &str| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str());
    let tags: Vec<String> = headers
        .map(|headers| headers.get_all(headers::TAG).map(|tag| tag.as_str().to_owned()).collect())
        .unwrap_or_default();
    let complete = text(headers::TAGS).and_then(|count| count.parse().ok()) == Some(tags.len());
    Ok(Delivery {
        subject: message.subject.to_string(),
        event_id: headers.and_then(order::event_id).and_then(|id| id.parse().ok()),
        tags: complete.then_some(tags),
        commit_lsn: text(headers::COMMIT_LSN).and_then(|lsn| lsn.parse().ok()).unwrap_or(0),
        stream_seq: info.stream_sequence,
        attempt: info.delivered,
        payload: message.payload.clone(),
    })
}
