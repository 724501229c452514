//! How followers learn that a feed has grown: by message, and by comparison with the database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, Message};
use events::{Event, Fact, streams};
use futures_util::StreamExt as _;
use rls::{Caller, Class, Database};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Followers;
use crate::error::Error;
use crate::store::feeds;

const SUBJECT: &str = "mc.notifications.notification.created.>";
/// Pull requests last so long and are kept alive at this pace; two missed beats mean a dead link.
const PULL_EXPIRES: Duration = Duration::from_secs(20);
const PULL_HEARTBEAT: Duration = Duration::from_secs(2);
const BATCH: usize = 256;
/// The server forgets a consumer that nobody pulls from.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);
/// How often the connection is looked at: a message may have gone into one that broke.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const RESUBSCRIBE_PAUSE: Duration = Duration::from_millis(500);
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
const COMPARE_DEADLINE: Duration = Duration::from_secs(2);
/// Feeds compared in one statement.
const COMPARED_MAX: usize = 5_000;

/// What keeps [`Followers`] up to date. One per process, however many follow.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) followers: Followers,
    pub(crate) db: Database,
    pub(crate) nats: async_nats::Client,
    /// How often followed feeds are compared with the database, at most.
    pub(crate) compare_every: Duration,
}

impl Listener {
    /// Listens until `shutdown`. Survives the absence of NATS, of the stream and of the database.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let subscribed = Arc::new(Notify::new());
        tokio::join!(self.listen(&subscribed, &shutdown), self.compare(&subscribed, &shutdown));
    }

    async fn listen(&self, subscribed: &Notify, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            if let Err(error) = self.subscription(subscribed, shutdown).await {
                tracing::warn!(error = format!("{error:#}"), "followers are told anew");
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(RESUBSCRIBE_PAUSE) => {}
                }
            }
        }
    }

    /// One subscription from now on; ends as soon as a message may have been lost.
    async fn subscription(&self, subscribed: &Notify, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let connects = || self.nats.statistics().connects.load(Ordering::Relaxed);
        let connected = connects();
        let jetstream =
            jetstream::context::ContextBuilder::new().timeout(REQUEST_DEADLINE).build(self.nats.clone());
        let opening = async {
            let stream = jetstream.get_stream(streams::MUTATIONS).await.context("opening the stream")?;
            let config = pull::Config {
                filter_subject: SUBJECT.to_owned(),
                deliver_policy: DeliverPolicy::New,
                ack_policy: AckPolicy::None,
                inactive_threshold: FORGOTTEN_AFTER,
                memory_storage: true,
                num_replicas: 1,
                ..pull::Config::default()
            };
            let consumer = stream.create_consumer(config).await.context("opening the consumer")?;
            consumer
                .stream()
                .max_messages_per_batch(BATCH)
                .expires(PULL_EXPIRES)
                .heartbeat(PULL_HEARTBEAT)
                .messages()
                .await
                .context("subscribing")
        };
        let mut messages = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            messages = opening => messages?,
        };
        // What was made while nobody listened.
        subscribed.notify_one();
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut expected = 1;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = look.tick() => {
                    anyhow::ensure!(connects() == connected, "the connection is another one");
                }
                message = messages.next() => {
                    let message = message.context("the subscription ended")?.context("waiting for messages")?;
                    let sequence = message.info().map_err(anyhow::Error::from_boxed)?.consumer_sequence;
                    anyhow::ensure!(sequence == expected, "message {expected} was lost");
                    expected += 1;
                    self.tell(&message);
                }
            }
        }
    }

    /// What cannot be read is found by the next comparison.
    fn tell(&self, message: &Message) {
        if let Ok(event) = Event::decode(&message.payload)
            && let Fact::NotificationCreated(fact) = event.fact()
        {
            self.followers.advance(fact.user_id, fact.seq);
        }
    }

    async fn compare(&self, subscribed: &Notify, shutdown: &CancellationToken) {
        loop {
            // Jittered, so that replicas do not step together.
            let pause = self.compare_every.mul_f64(0.5 + fastrand::f64() / 2.0);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = subscribed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            if let Err(error) = self.compare_once().await {
                tracing::warn!(%error, "followed feeds not compared with the database");
            }
        }
    }

    async fn compare_once(&self) -> Result<(), Error> {
        let users = self.followers.users();
        for some in users.chunks(COMPARED_MAX) {
            let some = some.to_vec();
            let positions = self
                .db
                .run(&Caller::Service, Class::Read, COMPARE_DEADLINE, move |tx| {
                    Box::pin(async move { Ok::<_, Error>(feeds::positions(tx, &some).await?) })
                })
                .await?;
            for (user_id, last_seq) in positions.value {
                self.followers.advance(user_id, last_seq.unsigned_abs());
            }
        }
        Ok(())
    }
}
