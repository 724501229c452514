//! Follows the purge log in order, and listens to its pulse.
//!
//! A *session* is one consumer on the stream. It ends at the first irregularity, and the next one starts
//! from what was applied. It begins by reading the last applied message again: if the server shows another
//! message under that sequence, or none, the log lost its end and grew a new one, and nothing may be
//! trusted until the invalidator announces a new epoch.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::{self, Message};
use async_nats::{Client, connection};
use futures_util::StreamExt as _;
use rapidhash::v3::rapidhash_v3;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Moment};
use crate::coherence::{Coherence, OldEpoch, PulseOutcome};
use crate::heartbeat::{Beat, DelayMeter, SUBJECT};
use crate::log::STREAM;
use crate::message::PurgeMessage;
use crate::mode::{LogState, Pulse};
use crate::position::Position;
use crate::ring::Applied;
use crate::stats::Counters;

/// Every call of a session's start.
const CALL_DEADLINE: Duration = Duration::from_secs(1);
/// The server says that the consumer lives; two silent ones end the session.
const IDLE_HEARTBEAT: Duration = Duration::from_millis(500);
/// How often a session looks at itself.
const TICK: Duration = Duration::from_millis(250);
/// A session that is this much behind without receiving anything is dead, whatever the client believes.
const STUCK: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_millis(500);

/// What identifies the last applied message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    published_ns: i128,
    payload: u64,
}

impl Fingerprint {
    fn of(message: &Message, published_ns: i128) -> Self {
        Self { published_ns, payload: rapidhash_v3(&message.payload) }
    }
}

/// Follows the log until `shutdown`.
#[derive(Debug)]
pub(crate) struct Follower {
    nats: Client,
    coherence: Arc<Coherence>,
    clock: Clock,
    counters: Arc<Counters>,
    /// Somebody saw a sign that the log lost its end.
    doubt: Arc<Notify>,
    shutdown: CancellationToken,
    /// The epoch in which `coherence.applied()` is meaningful to this follower.
    started_in: Option<u16>,
    last: Option<Fingerprint>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("a new epoch was announced")]
    NewEpoch,
    #[error("the log does not continue what was applied")]
    Broken,
    #[error("a heartbeat named a smaller sequence than the one before")]
    Doubted,
    #[error("messages were lost on the way")]
    Skipped,
    #[error("behind for {0:?} without receiving anything")]
    Stuck(Duration),
    #[error("no answer within {CALL_DEADLINE:?}")]
    Late,
    #[error("the connection is down")]
    Disconnected,
    #[error("the consumer ended")]
    Closed,
    #[error(transparent)]
    Nats(Box<dyn std::error::Error + Send + Sync>),
}

impl Ended {
    fn nats(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Nats(Box::new(error))
    }
}

impl Follower {
    pub(crate) fn new(
        nats: Client,
        coherence: Arc<Coherence>,
        clock: Clock,
        counters: Arc<Counters>,
        doubt: Arc<Notify>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { nats, coherence, clock, counters, doubt, shutdown, started_in: None, last: None }
    }

    pub(crate) async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let mut epochs = self.coherence.epochs();
        let doubt = Arc::clone(&self.doubt);
        let mut retry = RETRY_MIN;
        loop {
            let epoch = *epochs.borrow_and_update();
            if epoch == 0 {
                // Positions need an epoch; heartbeats bring it.
                if epochs.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let began = Instant::now();
            let ended = tokio::select! {
                ended = self.session(epoch) => ended,
                _ = epochs.changed() => Ended::NewEpoch,
                () = doubt.notified() => Ended::Doubted,
            };
            self.detach(&ended);
            match ended {
                Ended::NewEpoch => {}
                Ended::Broken => {
                    self.counters.log_breaks.add();
                    let applied = self.coherence.applied();
                    tracing::error!(%applied, "the purge log went back; waiting for a new epoch");
                    if epochs.changed().await.is_err() {
                        return;
                    }
                }
                error => {
                    retry = if began.elapsed() > RETRY_MAX { RETRY_MIN } else { (retry * 2).min(RETRY_MAX) };
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the purge log's session ended"
                    );
                    sleep(retry).await;
                }
            }
        }
    }

    fn detach(&self, ended: &Ended) {
        let state = match ended {
            Ended::Broken => LogState::Broken,
            _ => LogState::Detached,
        };
        self.coherence.set_log(self.clock.now(), state);
    }

    /// One consumer, from what was applied until something is odd.
    async fn session(&mut self, epoch: u16) -> Ended {
        match self.read(epoch).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn read(&mut self, epoch: u16) -> Result<std::convert::Infallible, Ended> {
        let js = jetstream::new(self.nats.clone());
        let stream = within(js.get_stream(STREAM)).await?;
        let state = &stream.cached_info().state;
        let (first, last) = (state.first_sequence, state.last_sequence);
        self.counters.log_sessions.add();

        if self.started_in != Some(epoch) {
            // Nothing is known about what the log held before: only what is filled from here on counts.
            let start = Position::new(epoch, last);
            self.coherence.start_at(self.clock.now(), start).map_err(|OldEpoch| Ended::NewEpoch)?;
            self.started_in = Some(epoch);
            self.last = None;
        }
        let applied = self.coherence.applied().sequence();
        if last < applied {
            return Err(Ended::Broken);
        }
        if first > applied + 1 {
            // Away for longer than the log remembers.
            self.counters.log_gaps.add();
            self.coherence.apply_unknown(self.clock.now(), Position::new(epoch, first - 1));
            self.last = None;
        }
        let applied = self.coherence.applied().sequence();
        self.coherence.set_log(self.clock.now(), LogState::Replaying { until: last });

        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: applied.max(1) },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(30),
            ..Config::default()
        };
        let consumer = within(stream.create_consumer(config)).await?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(1_000)
            .heartbeat(IDLE_HEARTBEAT)
            .expires(Duration::from_secs(10))
            .messages();
        let mut messages = within(messages).await?;

        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut delivered = 0;
        let mut heard = Instant::now();
        loop {
            let message = tokio::select! {
                biased;
                message = messages.next() => message.ok_or(Ended::Closed)?.map_err(Ended::nats)?,
                _ = tick.tick() => {
                    self.check_up(heard)?;
                    continue;
                }
            };
            heard = Instant::now();
            let info = message.info().map_err(Ended::Nats)?;
            delivered += 1;
            if info.consumer_sequence != delivered {
                return Err(Ended::Skipped);
            }
            let fingerprint = Fingerprint::of(&message, info.published.unix_timestamp_nanos());
            self.take(Position::new(epoch, info.stream_sequence), fingerprint, &message)?;
        }
    }

    fn check_up(&self, heard: Instant) -> Result<(), Ended> {
        if self.nats.connection_state() != connection::State::Connected {
            return Err(Ended::Disconnected);
        }
        let behind = self.coherence.behind(self.clock.now());
        if behind > STUCK && heard.elapsed() > STUCK { Err(Ended::Stuck(behind)) } else { Ok(()) }
    }

    fn take(&mut self, position: Position, fingerprint: Fingerprint, message: &Message) -> Result<(), Ended> {
        let applied = self.coherence.applied();
        let now = self.clock.now();
        if position <= applied {
            // The session's first message: the last one applied, seen again.
            return match self.last {
                Some(last) if position == applied && last != fingerprint => Err(Ended::Broken),
                _ => {
                    self.last = Some(fingerprint);
                    Ok(())
                }
            };
        }
        if position != applied.next() {
            // Somebody removed messages that were not read here.
            self.counters.log_gaps.add();
            self.coherence.apply_unknown(now, Position::new(position.epoch(), position.sequence() - 1));
        }
        match PurgeMessage::decode(&message.payload) {
            Ok(purge) => {
                let applied = Applied { position, commit_lsn: purge.commit_lsn, commit_ms: purge.commit_ms };
                self.counters.purges_applied.add();
                self.coherence.apply(now, applied, purge.tags.into_iter().map(|(tag, _)| tag));
            }
            Err(error) => {
                // It purged something, and nobody here can tell what.
                self.counters.log_unreadable.add();
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    %position,
                    "everything cached before it is given up",
                );
                self.coherence.apply_unknown(now, position);
            }
        }
        self.last = Some(fingerprint);
        Ok(())
    }
}

async fn within<T, E>(call: impl IntoFuture<Output = Result<T, E>>) -> Result<T, Ended>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match timeout(CALL_DEADLINE, call.into_future()).await {
        Ok(answer) => answer.map_err(Ended::nats),
        Err(_) => Err(Ended::Late),
    }
}

/// Listens to heartbeats until `shutdown`.
pub(crate) async fn listen(
    nats: Client,
    coherence: Arc<Coherence>,
    clock: Clock,
    doubt: Arc<Notify>,
    shutdown: CancellationToken,
) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = hear(&nats, &coherence, clock, &doubt) => {}
    }
}

/// Never returns: a subscription survives reconnects, and one that ends is made again.
async fn hear(nats: &Client, coherence: &Coherence, clock: Clock, doubt: &Notify) {
    let mut pulse = PulseReader::default();
    loop {
        match nats.subscribe(SUBJECT).await {
            Ok(mut heartbeats) => {
                while let Some(message) = heartbeats.next().await {
                    match Beat::decode(&message.payload) {
                        Ok(beat) => pulse.take(coherence, clock.now(), beat, doubt),
                        Err(_) => tracing::warn!("a heartbeat of another version is ignored"),
                    }
                }
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "subscribe to heartbeats");
            }
        }
        sleep(RETRY_MAX).await;
    }
}

/// What earlier heartbeats say about the next one.
#[derive(Debug, Default)]
struct PulseReader {
    meter: DelayMeter,
    previous: Option<Beat>,
}

impl PulseReader {
    fn take(&mut self, coherence: &Coherence, now: Moment, beat: Beat, doubt: &Notify) {
        let pulse = Pulse {
            sent_at: self.meter.sent_at(now, &beat),
            last_sequence: beat.heartbeat.last_seq,
            oldest_pending: Duration::from_millis(beat.heartbeat.oldest_pending_ms),
        };
        match coherence.pulse(now, beat.heartbeat.epoch, pulse) {
            PulseOutcome::Fits if self.previous.is_some_and(|previous| beat.is_behind(&previous)) => {
                // A new session compares what was applied with what the log shows now.
                doubt.notify_one();
            }
            PulseOutcome::Fits | PulseOutcome::OldEpoch => {}
            PulseOutcome::NewEpoch => {
                tracing::info!(epoch = beat.heartbeat.epoch, "the purge log begins a new epoch");
            }
        }
        self.previous = Some(beat);
    }
}
