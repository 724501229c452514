//! One event, one purge.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use events::{Consumer, ConsumerConfig, Delivery, Failure};
use tag_cache::Tag;
use tag_cache::log::{Purge, PurgeMode};
use tokio_util::sync::CancellationToken;

use crate::invalidator::{DURABLE, Invalidator};

/// Purges on the way to the log at the same time. Their order does not matter: a purge says "stale
/// now", whenever it comes.
const CONCURRENCY: usize = 64;

/// How the invalidator reads the stream. It never gives up on what it understands: what keeps a purge
/// from the log is never the event, and an event given up would be a stale answer.
pub(crate) fn consumer() -> ConsumerConfig {
    ConsumerConfig {
        concurrency: CONCURRENCY,
        // A replica that died holds its messages so long. The handler's own deadlines are shorter.
        ack_wait: Duration::from_secs(5),
        retry_delays: [100, 500, 1_000, 5_000].map(Duration::from_millis).to_vec(),
        attempts_max: i64::MAX,
        ..ConsumerConfig::new(DURABLE)
    }
}

impl Invalidator {
    /// Turns events into purges until `working` is cancelled.
    pub(crate) async fn purge(&self, working: CancellationToken) {
        Consumer::new(consumer(), self.nats.clone()).run(working, |delivery| self.handle(delivery)).await;
    }

    /// Safe to repeat: the purge has the event's id, and a second copy only purges again.
    async fn handle(&self, delivery: Delivery) -> Result<(), Failure> {
        let (Some(event_id), Some(tags)) = (delivery.event_id, &delivery.tags) else {
            // Something changed, and nobody can say what: rather too much than too little.
            self.gauges.unreadable.fetch_add(1, Ordering::Relaxed);
            self.begin_new_epoch().await.map_err(Failure::Later)?;
            return Err(Failure::Never(anyhow::anyhow!(
                "the message names no event or no tags; the epoch was ended"
            )));
        };
        if tags.is_empty() {
            return Ok(());
        }
        let tags: Vec<Tag> = tags.iter().map(|tag| Tag::of(tag)).collect();
        let commit_ms = delivery.event().map_or(0, |event| event.time().unix_timestamp_nanos() / 1_000_000);
        let purge = Purge {
            event_id,
            commit_lsn: delivery.commit_lsn,
            commit_ms: u64::try_from(commit_ms).unwrap_or(0),
            tags,
            mode: PurgeMode::Hard,
        };
        let later = |injected: failpoints::Injected| Failure::Later(injected.into());
        failpoints::hit("iv.before_purge").await.map_err(later)?;
        let position = self
            .purges
            .publish(self.epoch(), &purge)
            .await
            .context("publishing a purge")
            .map_err(Failure::Later)?;
        self.saw(position.sequence());
        self.gauges.purges.fetch_add(1, Ordering::Relaxed);
        if let Some(record) = &self.record {
            record.write(&purge.tags, position).await;
        }
        failpoints::hit("iv.after_purge_before_ack").await.map_err(later)?;
        Ok(())
    }
}
