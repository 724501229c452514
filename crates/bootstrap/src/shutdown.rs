//! How a process stops: first it drains, then it ends.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config;

/// From the first signal to the moment at which every remaining connection is dropped.
const HARD_AFTER: Duration = Duration::from_secs(20);

/// What requests that were accepted before the listener closed may still take.
pub(crate) const IN_FLIGHT_MAX: Duration = Duration::from_secs(15);

/// Passed to everything that runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Cancelled at the first signal: stop being ready, finish what is under way.
    pub drain: CancellationToken,
    /// Cancelled 20 s later or at a second signal: drop everything at once.
    pub hard: CancellationToken,
    drain_delay: Duration,
}

impl Shutdown {
    /// Follows SIGTERM and SIGINT; a second signal means `hard`. Reads `MESTRES_DRAIN_DELAY_S` (default 0):
    /// for so long a draining process still accepts, because load balancers learn late.
    ///
    /// # Errors
    /// When the variable is not a number of seconds up to 15, or outside a tokio runtime.
    pub fn on_signals() -> anyhow::Result<Self> {
        let drain_delay = config::parsed_within("MESTRES_DRAIN_DELAY_S", 0, 0..=15_u64)?;
        let shutdown = Self { drain_delay: Duration::from_secs(drain_delay), ..Self::manual() };
        let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
        let Self { drain, hard, .. } = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
                _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
                () = drain.cancelled() => {}
            }
            drain.cancel();
            tokio::select! {
                _ = terminate.recv() => tracing::warn!("second signal: dropping every connection"),
                _ = interrupt.recv() => tracing::warn!("second signal: dropping every connection"),
                () = tokio::time::sleep(HARD_AFTER) => {}
            }
            hard.cancel();
        });
        Ok(shutdown)
    }

    /// For tests: nothing is cancelled but by the holder, and there is no drain delay.
    pub fn manual() -> Self {
        Self { drain: CancellationToken::new(), hard: CancellationToken::new(), drain_delay: Duration::ZERO }
    }

    /// The same tokens with another drain delay.
    #[must_use]
    pub fn with_drain_delay(self, drain_delay: Duration) -> Self {
        Self { drain_delay, ..self }
    }

    /// Waits for the moment to stop accepting and pulling: the drain delay after `drain`, or `hard`.
    pub async fn stop_accepting(&self) {
        tokio::select! {
            () = self.hard.cancelled() => {}
            () = async {
                self.drain.cancelled().await;
                tokio::time::sleep(self.drain_delay).await;
            } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn accepting_goes_on_for_the_drain_delay() {
        let shutdown = Shutdown::manual().with_drain_delay(Duration::from_secs(5));
        shutdown.drain.cancel();
        let started = Instant::now();
        shutdown.stop_accepting().await;
        assert_eq!(started.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hard_end_cuts_the_drain_delay_short() {
        let shutdown = Shutdown::manual().with_drain_delay(Duration::from_secs(5));
        shutdown.drain.cancel();
        shutdown.hard.cancel();
        let started = Instant::now();
        shutdown.stop_accepting().await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
