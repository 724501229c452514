//! Says in the log when the purge pipeline stops or starts being live.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::coherence::Coherence;
use crate::mode::Mode;

const LOOK: Duration = Duration::from_millis(250);

/// Looks four times a second until `shutdown`; modes that last shorter may go unsaid.
pub(crate) async fn watch(coherence: Arc<Coherence>, clock: Clock, shutdown: CancellationToken) {
    let mut said = Mode::Suspect;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = looks.tick() => {}
        }
        let mode = coherence.mode(clock.now());
        if mode == said {
            continue;
        }
        let applied = coherence.applied();
        match mode {
            Mode::Live => tracing::info!(cache.mode = mode.name(), %applied, "the purge pipeline is live"),
            Mode::Lagging | Mode::Suspect | Mode::Resync => {
                tracing::warn!(cache.mode = mode.name(), %applied, "strict routes bypass the cache");
            }
        }
        said = mode;
    }
}
