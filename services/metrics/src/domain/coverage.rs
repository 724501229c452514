//! How much of what should be known is known. No data must not read as health.

use std::collections::HashMap;

use proto::metrics::v1::{Coverage, Process, ProcessState};

use super::{Aggregator, SLOT_S, SourceId, oldest_slot, slot_of};

/// A slot is expected this long after it closed.
const REPORT_EXPECTED_AFTER_S: u32 = 5;

/// A source that has been silent for this long while others of its service report is taken for gone: it was killed
/// and replaced under another name. When its whole service is silent, it stays expected.
const GONE_AFTER_S: u32 = 600;

/// A source has a present when it reported one of the last slots, the open one included.
const PRESENT_SLOTS: u32 = 3;

/// CPU use over less than this says nothing.
const CPU_WALL_US_MIN: u64 = 1_000_000;

/// One source within the hour.
#[derive(Debug)]
struct Presence<'a> {
    service: &'a str,
    instance: &'a str,
    first_slot_s: u32,
    last_slot_s: u32,
    said_goodbye: bool,
    /// Slots within the window.
    seen: u32,
}

impl Aggregator {
    /// Coverage of one service, or of all, over a window of `slots` slots.
    pub(super) fn coverage(&self, now_s: u32, slots: u32, service: Option<&str>) -> Coverage {
        let window_start_s = oldest_slot(now_s, slots);
        let newest_expected_s = slot_of(now_s.saturating_sub(REPORT_EXPECTED_AFTER_S)).saturating_sub(SLOT_S);
        let presences = self.presences(window_start_s, service);
        let mut coverage = Coverage::default();
        let (mut pairs_expected, mut pairs_seen) = (0_u64, 0_u64);
        for presence in presences.values() {
            let until_s = match presence.end(&presences) {
                End::Ended => presence.last_slot_s,
                End::Gone => newest_expected_s.min(presence.last_slot_s + GONE_AFTER_S),
                End::GoesOn => {
                    coverage.sources_expected += 1;
                    coverage.sources_seen += u32::from(presence.last_slot_s + PRESENT_SLOTS * SLOT_S > now_s);
                    newest_expected_s.max(presence.last_slot_s)
                }
            };
            let from_s = presence.first_slot_s.max(window_start_s);
            if until_s >= from_s {
                pairs_expected += u64::from((until_s - from_s) / SLOT_S + 1);
                pairs_seen += u64::from(presence.seen);
            }
        }
        if pairs_expected > 0 {
            coverage.ratio = (pairs_seen as f64 / pairs_expected as f64).min(1.0);
        }
        let of_window = self.slots.range(window_start_s..);
        let mut with_data =
            of_window.filter(|(_, slot)| slot.states.keys().any(|id| presences.contains_key(id)));
        coverage.oldest_slot_s = with_data.next().map_or(0, |entry| *entry.0);
        coverage.newest_slot_s = with_data.next_back().map_or(coverage.oldest_slot_s, |entry| *entry.0);
        coverage
    }

    /// The processes of every service as of now, or `None` when none reports: whoever asks about one service's timings
    /// asks about the machine that all of them share.
    pub(super) fn process(&self, now_s: u32) -> Option<Process> {
        let presences = self.presences(0, None);
        let mut sum = None::<Process>;
        for (id, presence) in &presences {
            if presence.end(&presences) == End::GoesOn {
                let recent = self.slots.range((now_s + 1).saturating_sub(PRESENT_SLOTS * SLOT_S)..).rev();
                let states = recent.filter_map(|(_, slot)| slot.states.get(id)?.process);
                add_process(&mut sum, &states.collect::<Vec<_>>());
            }
        }
        sum
    }

    fn presences(&self, window_start_s: u32, service: Option<&str>) -> HashMap<SourceId, Presence<'_>> {
        let mut presences = HashMap::<SourceId, Presence<'_>>::new();
        for (&slot_s, slot) in &self.slots {
            for (&id, held) in &slot.states {
                let Some(source) = self.sources.get(&id) else { continue };
                let definitions = &source.definitions;
                if service.is_some_and(|service| service != definitions.service) {
                    continue;
                }
                let presence = presences.entry(id).or_insert_with(|| Presence {
                    service: &definitions.service,
                    instance: &definitions.instance,
                    first_slot_s: slot_s,
                    last_slot_s: slot_s,
                    said_goodbye: false,
                    seen: 0,
                });
                // Slots come in order, so the last one wins.
                presence.last_slot_s = slot_s;
                presence.said_goodbye = held.is_last;
                presence.seen += u32::from(slot_s >= window_start_s);
            }
        }
        presences
    }
}

/// What is known of a source's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It said goodbye, or has started again.
    Ended,
    /// It fell silent while others of its service go on.
    Gone,
    /// It should report now.
    GoesOn,
}

impl Presence<'_> {
    fn end(&self, all: &HashMap<SourceId, Presence<'_>>) -> End {
        let of_service = || all.values().filter(|other| other.service == self.service);
        let restarted = of_service().any(|other| {
            other.instance == self.instance
                && (other.last_slot_s, other.first_slot_s) > (self.last_slot_s, self.first_slot_s)
        });
        let others_go_on = of_service().any(|other| other.last_slot_s > self.last_slot_s + GONE_AFTER_S);
        match (self.said_goodbye || restarted, others_go_on) {
            (true, _) => End::Ended,
            (false, true) => End::Gone,
            (false, false) => End::GoesOn,
        }
    }
}

/// Adds the newest state that is old enough to say something about CPU use.
fn add_process(sum: &mut Option<Process>, newest_first: &[ProcessState]) {
    let telling = newest_first.iter().find(|state| state.wall_us >= CPU_WALL_US_MIN);
    let Some(state) = telling.or(newest_first.first()) else { return };
    let percent = |part: u64, whole: u64| if whole > 0 { 100.0 * part as f64 / whole as f64 } else { 0.0 };
    let sum = sum.get_or_insert_default();
    sum.cpu_percent += percent(state.cpu_us, state.wall_us.saturating_mul(u64::from(state.cpus)));
    sum.memory_percent += percent(state.rss_bytes, state.memory_total_bytes);
    sum.database_connections_active += state.database_connections_active;
    sum.database_connections_max += state.database_connections_max;
}
