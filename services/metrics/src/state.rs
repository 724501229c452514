//! What handlers and the background round share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use latency::prometheus::{header, line};
use tokio_util::sync::CancellationToken;

use crate::{domain::Aggregator, replica::Saving};

/// The service's memory.
#[derive(Debug)]
pub(crate) struct State {
    aggregator: Mutex<Aggregator>,
    pub(crate) saving: Saving,
    pub(crate) drain: CancellationToken,
}

impl State {
    pub(crate) fn new(drain: CancellationToken) -> State {
        State { aggregator: Mutex::default(), saving: Saving::new(), drain }
    }

    /// Locks the aggregator: for microseconds, and never across an await.
    pub(crate) fn aggregator(&self) -> MutexGuard<'_, Aggregator> {
        // Were a panic to leave a merged sketch half updated, a state that comes later would not repair it. But every
        // update is checked before it begins.
        self.aggregator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends numbers about the aggregation itself.
    pub(crate) fn prometheus(&self, out: &mut String) {
        let counters = self.aggregator().counters();
        let mut gauge = |name, help, value: usize| {
            header(out, name, "gauge", help);
            line(out, name, &[], value);
        };
        gauge("metrics_sources", "Processes that reported in the last hour", counters.sources);
        gauge("metrics_slots", "Slots held", counters.slots);
        gauge("metrics_series", "Series held", counters.series);
        gauge("metrics_unsaved_states", "States that are not in Redis yet", counters.unsaved);
        gauge(
            "metrics_redis_up",
            "Whether the last exchange with Redis worked",
            self.saving.is_reachable().into(),
        );
        header(out, "metrics_refused_slots_total", "counter", "Slots too old or in the future");
        line(out, "metrics_refused_slots_total", &[("reason", "late")], counters.refused_late);
        line(out, "metrics_refused_slots_total", &[("reason", "early")], counters.refused_early);
    }
}
