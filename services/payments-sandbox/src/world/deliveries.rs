//! Copies of events on their way to the shop.

use std::collections::BTreeMap;

use super::Event;
use crate::chance::Chance;
use crate::knobs::Knobs;

/// More copies than that are not waited for.
const DELIVERIES_MAX: usize = 500_000;

/// What waits to be sent, by its time.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    waiting: BTreeMap<(i64, u64), Delivery>,
    count: u64,
}

/// One copy of an event.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) event: u64,
    /// From 1.
    pub(crate) attempt: u32,
    pub(crate) sending: Sending,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    Truth,
    OtherOrder,
    OtherAmount,
}

impl Deliveries {
    /// Plans the copies of a new event.
    pub(crate) fn plan(&mut self, event: &mut Event, knobs: &Knobs, chance: &mut Chance, now_ms: i64) {
        let hooks = &knobs.webhooks;
        if !hooks.enabled {
            return;
        }
        for copy in 0..hooks.copies {
            let mut draws = chance.draws(knobs.seed, &event.kind, &event.subject);
            let dropped = draws.f64() < hooks.drop_rate;
            let other_order = draws.f64() < hooks.wrong_metadata_rate;
            let other_amount = draws.f64() < hooks.wrong_amount_rate;
            let wait_ms = hooks.delay_ms + draws.u64(..=hooks.reorder_within_ms);
            if dropped {
                tracing::debug!(event = %event.id, copy, "a copy of an event is dropped");
                continue;
            }
            let sending = match (other_order, other_amount) {
                (true, _) => Sending::OtherOrder,
                (false, true) => Sending::OtherAmount,
                (false, false) => Sending::Truth,
            };
            let delivery = Delivery { event: event.serial, attempt: 1, sending };
            if self.put(now_ms, wait_ms, delivery) {
                event.pending += 1;
            }
        }
    }

    /// Sends again what was on its way when the process ended.
    pub(crate) fn resume<'e>(&mut self, events: impl Iterator<Item = &'e Event>, now_ms: i64) {
        for event in events {
            for _copy in 0..event.pending {
                self.put(now_ms, 0, Delivery { event: event.serial, attempt: 1, sending: Sending::Truth });
            }
        }
    }

    /// Waits once more; false when there is no room.
    pub(crate) fn put(&mut self, now_ms: i64, wait_ms: u64, delivery: Delivery) -> bool {
        if self.waiting.len() >= DELIVERIES_MAX {
            return false;
        }
        self.count += 1;
        let at_ms = now_ms.saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX));
        self.waiting.insert((at_ms, self.count), delivery);
        true
    }

    /// The next copy whose time has come.
    pub(crate) fn take(&mut self, now_ms: i64) -> Option<Delivery> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now_ms).then(|| first.remove())
    }

    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }
}
