//! The active replica's state, and the order of its life: lease, log, then work until one of them ends.

use std::pin::pin;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::stream::RawMessageErrorKind;
use events::Consumer;
use rls::Database;
use tag_cache::log::PurgeLog;
use time::OffsetDateTime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::domain::{Coherence, Continuity, LogState};
use crate::lease::Lease;
use crate::purger;
use crate::relays::Relays;
use crate::store;
use crate::tag_record::TagRecord;

/// The consumer's name on the stream.
pub(crate) const DURABLE: &str = "cache-invalidator";
/// Bounds each request to NATS.
pub(crate) const NATS_DEADLINE: Duration = Duration::from_secs(1);
/// A purge that was not acknowledged in this time is published again.
const ACK_DEADLINE: Duration = Duration::from_secs(2);
/// Purges under way are finished in this time when the lease is lost.
const FINISH_DEADLINE: Duration = Duration::from_secs(3);
/// Pause before another attempt to become active.
const PAUSE: Duration = Duration::from_millis(250);

/// What an invalidator works with.
#[derive(Debug)]
pub(crate) struct Invalidator {
    pub(crate) db: Database,
    pub(crate) nats: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) purges: PurgeLog,
    pub(crate) relays: Relays,
    pub(crate) record: Option<Arc<TagRecord>>,
    pub(crate) gauges: Arc<Gauges>,
    database_url: String,
    stream_replicas: usize,
    /// The current epoch; 0 before the log was looked at.
    epoch: AtomicU16,
    /// The highest sequence of the log seen in the current epoch.
    high_seq: AtomicU64,
    /// When the whole pipeline was last seen to be on time.
    on_time: Mutex<Option<Instant>>,
}

/// What `/metrics` shows.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) purges: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) oldest_pending_ms: AtomicU64,
    pub(crate) epoch: AtomicU64,
    pub(crate) active: AtomicU64,
}

impl Invalidator {
    pub(crate) fn new(
        db: Database,
        database_url: &str,
        nats: async_nats::Client,
        relays: &[String],
        stream_replicas: usize,
        record: Option<Arc<TagRecord>>,
        gauges: Arc<Gauges>,
    ) -> Self {
        let jetstream = jetstream::context::ContextBuilder::new().timeout(NATS_DEADLINE).build(nats.clone());
        Self {
            purges: PurgeLog::new(nats.clone(), ACK_DEADLINE),
            relays: Relays::new(relays),
            db,
            nats,
            jetstream,
            record,
            gauges,
            database_url: database_url.to_owned(),
            stream_replicas,
            epoch: AtomicU16::new(0),
            high_seq: AtomicU64::new(0),
            on_time: Mutex::new(None),
        }
    }

    /// Works until `shutdown` whenever this replica has the lease.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let lease = tokio::select! {
                () = shutdown.cancelled() => return,
                lease = Lease::acquire(&self.database_url) => lease,
            };
            match lease {
                Ok(lease) => Box::pin(self.active(lease, &shutdown)).await,
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "no lease");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Is the active replica until the lease is lost or `shutdown`.
    async fn active(&self, mut lease: Lease, shutdown: &CancellationToken) {
        tracing::info!("this replica is active");
        self.gauges.active.store(1, Ordering::Relaxed);
        let working = shutdown.child_token();
        let mut work = pin!(self.work(&working));
        tokio::select! {
            () = &mut work => {}
            () = lease.lost() => {
                working.cancel();
                // What is under way is finished: who comes next would get it only after the server's patience.
                if timeout(FINISH_DEADLINE, &mut work).await.is_err() {
                    tracing::warn!("purges under way were left to the next replica");
                }
            }
        }
        self.gauges.active.store(0, Ordering::Relaxed);
        lease.release().await;
    }

    /// Everything an active replica does, until `working` is cancelled and its purges are finished.
    async fn work(&self, working: &CancellationToken) {
        // Whatever an earlier lease knew may have changed since.
        self.epoch.store(0, Ordering::Release);
        loop {
            tokio::select! {
                () = working.cancelled() => return,
                found = self.find_place() => match found {
                    Ok(()) => break,
                    Err(error) => {
                        tracing::warn!(error = format!("{error:#}"), "this replica is active and cannot begin");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
        tokio::select! {
            () = self.purge(working.clone()) => {}
            () = self.relays.listen(&self.nats) => {}
            () = self.pulse(working) => {}
            () = self.keep_record() => {}
        }
    }

    /// The epoch and the place in the log to begin with.
    async fn find_place(&self) -> anyhow::Result<()> {
        // Heartbeats tell the progress of the consumer, so it must be there first.
        Consumer::new(purger::consumer(), self.nats.clone()).declare().await?;
        let known = store::coherence(&self.db).await?;
        let seen = self.open_log().await?;
        let continuity = match known {
            Some(known) => self.continuity(known.log).await?,
            None => Continuity::Unbroken,
        };
        self.look(seen, 0, continuity).await?;
        if let Some(record) = &self.record {
            record.complete_from(self.position());
        }
        Ok(())
    }

    /// What the server says of the log; makes it when it is gone.
    pub(crate) async fn open_log(&self) -> anyhow::Result<LogState> {
        use jetstream::context::GetStreamErrorKind::JetStream;
        let stream = match self.jetstream.get_stream(tag_cache::log::STREAM).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), JetStream(error) if error.code() == 404) => {
                tracing::warn!(stream = tag_cache::log::STREAM, "the purge log does not exist, making it");
                tag_cache::log::declare(&self.jetstream, self.stream_replicas)
                    .await
                    .context("making the purge log")?;
                self.jetstream.get_stream(tag_cache::log::STREAM).await.context("opening the purge log")?
            }
            Err(error) => return Err(error).context("opening the purge log"),
        };
        let info = stream.cached_info();
        Ok(LogState {
            created: whole_micros(info.created),
            last_seq: info.state.last_sequence,
            last_time: whole_micros(info.state.last_timestamp),
        })
    }

    /// Whether the message that was the last one is still there. A server that lost its power may have
    /// forgotten it and given its number away again.
    pub(crate) async fn continuity(&self, known: LogState) -> anyhow::Result<Continuity> {
        if known.last_seq == 0 {
            return Ok(Continuity::Unbroken);
        }
        let stream =
            self.jetstream.get_stream(tag_cache::log::STREAM).await.context("opening the purge log")?;
        if known.last_seq < stream.cached_info().state.first_sequence {
            // Older than the log keeps.
            return Ok(Continuity::Unbroken);
        }
        match stream.get_raw_message(known.last_seq).await {
            Ok(message) if whole_micros(message.time) == known.last_time => Ok(Continuity::Unbroken),
            Ok(_another) => Ok(Continuity::Broken),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(Continuity::Broken),
            Err(error) => Err(error).context("reading the purge log"),
        }
    }

    /// Remembers what the server said of the log and follows into a new epoch if it went back.
    /// `at_least` was known before the server was asked.
    pub(crate) async fn look(
        &self,
        seen: LogState,
        at_least: u64,
        continuity: Continuity,
    ) -> anyhow::Result<Coherence> {
        let known = store::advance(&self.db, seen, at_least, continuity).await?;
        self.enter(known);
        Ok(known)
    }

    /// Ends everything cached so far: something became stale, and nobody can say what.
    pub(crate) async fn begin_new_epoch(&self) -> anyhow::Result<()> {
        if let Some(next) = store::renew(&self.db).await? {
            self.enter(next);
        }
        Ok(())
    }

    fn enter(&self, coherence: Coherence) {
        let before = self.epoch.swap(coherence.epoch, Ordering::AcqRel);
        if before == coherence.epoch {
            self.high_seq.fetch_max(coherence.log.last_seq, Ordering::AcqRel);
        } else {
            self.high_seq.store(coherence.log.last_seq, Ordering::Release);
            self.gauges.epoch.store(u64::from(coherence.epoch), Ordering::Relaxed);
            tracing::info!(
                epoch = coherence.epoch,
                last_seq = coherence.log.last_seq,
                "epoch of the purge log"
            );
        }
    }

    pub(crate) fn epoch(&self) -> u16 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn high_seq(&self) -> u64 {
        self.high_seq.load(Ordering::Acquire)
    }

    pub(crate) fn saw(&self, seq: u64) {
        self.high_seq.fetch_max(seq, Ordering::AcqRel);
    }

    fn position(&self) -> tag_cache::Position {
        tag_cache::Position::new(self.epoch(), self.high_seq())
    }

    pub(crate) fn was_on_time(&self) {
        *self.on_time.lock().expect("nobody panics while holding it") = Some(Instant::now());
    }

    /// Keeps the record in Redis alive while the pipeline is on time: when purges do not arrive here,
    /// they are not recorded either, and their absence proves nothing.
    async fn keep_record(&self) {
        const EVERY: Duration = Duration::from_millis(500);
        let Some(record) = &self.record else { return std::future::pending().await };
        loop {
            let on_time = *self.on_time.lock().expect("nobody panics while holding it");
            if on_time.is_some_and(|at| at.elapsed() < 2 * EVERY) {
                record.alive().await;
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// PostgreSQL keeps microseconds, NATS nanoseconds.
fn whole_micros(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(time.microsecond() * 1_000).expect("less than a second")
}
