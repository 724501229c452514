//! The heartbeat of the pipeline, and the watch over the log.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use tag_cache::log::{HEARTBEAT_INTERVAL, Heartbeat};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::domain::{Coherence, Continuity, Lag, Pipeline, Progress};
use crate::invalidator::{DURABLE, Invalidator};

/// The place in the log is written to the database this often.
const REMEMBER_EVERY: Duration = Duration::from_secs(1);
/// Behind by more than this, the pipeline is late.
const LATE: Duration = Duration::from_secs(1);

/// What one heartbeat leaves to the next.
struct Pulse {
    pipeline: Pipeline,
    started: Instant,
    place: Place,
}

/// Where the log was at the last heartbeat.
struct Place {
    known: Option<Coherence>,
    remembered: Instant,
    /// Connections counted by the client when the log was last found unbroken.
    connects: u64,
}

impl Invalidator {
    /// Sends heartbeats as long as it is polled; one that cannot be made is not sent, and the silence
    /// says so. None is sent once `working` is cancelled: the lease may be somebody else's.
    pub(crate) async fn pulse(&self, working: &CancellationToken) {
        let mut pulse = Pulse {
            pipeline: Pipeline::default(),
            started: Instant::now(),
            place: Place { known: None, remembered: Instant::now(), connects: self.connects() },
        };
        let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if working.is_cancelled() {
                return std::future::pending().await;
            }
            if let Err(error) = self.beat(&mut pulse).await {
                tracing::warn!(error = format!("{error:#}"), "no heartbeat");
            }
        }
    }

    async fn beat(&self, pulse: &mut Pulse) -> anyhow::Result<()> {
        // The order matters. What the relays named was on the stream before the consumer is asked, and
        // what this process has published was on the log before the log is asked.
        let relays = self.relays.states();
        let at_least = self.high_seq();
        let (current, progress) = tokio::try_join!(self.place(&mut pulse.place, at_least), self.progress())?;
        let Lag { oldest_pending, published_xmin } =
            pulse.pipeline.lag(pulse.started.elapsed(), &relays, progress);
        let oldest_pending_ms = u64::try_from(oldest_pending.as_millis()).unwrap_or(u64::MAX);
        self.gauges.oldest_pending_ms.store(oldest_pending_ms, Ordering::Relaxed);
        if self.nats.connection_state() != async_nats::connection::State::Connected {
            return Ok(());
        }
        let beat = Heartbeat {
            epoch: current.epoch,
            last_seq: current.log.last_seq,
            oldest_pending_ms,
            published_xmin,
        };
        failpoints::hit("iv.before_watermark").await?;
        beat.send(&self.nats).await.context("sending a heartbeat")?;
        if oldest_pending <= LATE {
            self.was_on_time();
        }
        Ok(())
    }

    /// The epoch and the end of the log, remembered in the database every second, and at once when the
    /// log does not go on where it was.
    async fn place(&self, place: &mut Place, at_least: u64) -> anyhow::Result<Coherence> {
        let connects = self.connects();
        let seen = self.open_log().await?;
        let continuity = match place.known {
            Some(known) if connects != place.connects => self.continuity(known.log).await?,
            _ => Continuity::Unbroken,
        };
        let current = match place.known {
            Some(known)
                if known.epoch == self.epoch()
                    && known.continues_in(seen)
                    && at_least <= seen.last_seq
                    && continuity == Continuity::Unbroken
                    && place.remembered.elapsed() < REMEMBER_EVERY =>
            {
                Coherence { log: seen, ..known }
            }
            _ => {
                let current = self.look(seen, at_least, continuity).await?;
                place.remembered = Instant::now();
                current
            }
        };
        place.connects = connects;
        place.known = Some(current);
        self.saw(seen.last_seq);
        Ok(current)
    }

    /// How much of the stream is purged, as the server counts acknowledgements.
    async fn progress(&self) -> anyhow::Result<Progress> {
        let durable: Result<PullConsumer, _> = self
            .jetstream
            .get_consumer_from_stream::<pull::Config, _, _>(DURABLE, events::streams::MUTATIONS)
            .await;
        let durable = durable.context("asking for the consumer's progress")?;
        let info = durable.cached_info();
        if info.num_pending == 0 && info.num_ack_pending == 0 {
            return Ok(Progress::All);
        }
        Ok(Progress::UpTo(info.ack_floor.stream_sequence))
    }

    fn connects(&self) -> u64 {
        self.nats.statistics().connects.load(Ordering::Relaxed)
    }
}
