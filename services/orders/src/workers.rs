//! What works by itself, beside calls. Several processes share the work and do each other no harm.

mod cart_expiry;
mod erasure;
mod pace;
mod reservations;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::handlers::Shared;

/// All workers of a process.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) shared: Shared,
    pub(crate) nats: async_nats::Client,
    /// How often what is past its time is looked for.
    pub(crate) sweep_every: Duration,
}

impl Workers {
    /// Starts them; each ends soon after `stop`.
    pub(crate) fn spawn(self, tracker: &TaskTracker, stop: &CancellationToken) {
        let Self { shared, nats, sweep_every } = self;
        tracker.spawn(cart_expiry::run(shared.db.clone(), sweep_every, stop.clone()));
        tracker.spawn(reservations::run(shared.clone(), sweep_every, stop.clone()));
        tracker.spawn(erasure::run(shared.db.clone(), nats, stop.clone()));
        tracker.spawn(shared.payments.clone().run(stop.clone()));
        tracker.spawn(shared.timelines.clone().run(shared.db.clone(), stop.clone()));
        tracker.spawn(idempotency::keep_swept(shared.db, stop.clone()));
    }
}
