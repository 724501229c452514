//! What the aggregator does not have yet: at most an hour of slots, as their totals. Not a queue of requests.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use prost::Message;
use proto::metrics::v1::{SeriesDef, SlotAck, SlotState};

use crate::cut::SLOT_S;

/// Closed slots that are kept.
pub const BACKLOG_SLOTS_MAX: usize = 360;

/// Bytes of closed slots that are kept.
pub const BACKLOG_BYTES_MAX: usize = 16 << 20;

/// Slots that the aggregator has in memory only are offered again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// States to send, and how far sending has come.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    open: Option<Arc<SlotState>>,
    closed: BTreeMap<u32, Closed>,
    closed_bytes: usize,
    dictionary: Vec<SeriesDef>,
    stopped: Stopped,
    pub(crate) expired: Expired,
}

#[derive(Debug)]
struct Closed {
    state: Arc<SlotState>,
    bytes: usize,
    /// When to send it next.
    due: Instant,
}

/// What was given up because it was too old, too much, or refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expired {
    pub(crate) slots: u64,
    pub(crate) requests: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stopped {
    #[default]
    No,
    Yes,
}

/// What one stream has sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The slot that was open when the stream began: the stream ends with it.
    until_slot_s: u32,
    open_version: u64,
    closed: BTreeMap<u32, u64>,
    definitions: usize,
}

/// What a stream does next.
#[derive(Debug)]
pub(crate) enum Next {
    Define(Vec<SeriesDef>),
    Send(Arc<SlotState>),
    Wait,
    End,
}

impl Backlog {
    /// Takes the dictionary when it has grown, before the first state that needs it.
    pub(crate) fn define(&mut self, definitions: usize, dictionary: impl FnOnce() -> Vec<SeriesDef>) {
        if definitions != self.dictionary.len() {
            self.dictionary = dictionary();
        }
    }

    /// Replaces the state of the open slot.
    pub(crate) fn open(&mut self, state: SlotState) {
        self.open = Some(Arc::new(state));
    }

    /// Takes the final state of a slot, and gives up the oldest ones that no longer fit.
    pub(crate) fn close(&mut self, state: SlotState, now: Instant) {
        self.open = None;
        let oldest_s = (state.slot_start_s + SLOT_S).saturating_sub(BACKLOG_SLOTS_MAX as u32 * SLOT_S);
        let bytes = state.encoded_len();
        self.closed_bytes += bytes;
        let replaced =
            self.closed.insert(state.slot_start_s, Closed { state: Arc::new(state), bytes, due: now });
        self.closed_bytes -= replaced.map_or(0, |replaced| replaced.bytes);
        while let Some(entry) = self.closed.first_entry() {
            let fits = self.closed_bytes <= BACKLOG_BYTES_MAX && *entry.key() >= oldest_s;
            if fits {
                break;
            }
            let slot_s = *entry.key();
            self.give_up(slot_s);
        }
    }

    /// The process ends: the stream that is under way ends as soon as all is sent.
    pub(crate) fn stop(&mut self) {
        self.stopped = Stopped::Yes;
    }

    /// Slots that wait to be sent or to be safe.
    pub(crate) fn closed_len(&self) -> usize {
        self.closed.len()
    }

    /// Whether the process ends and nothing is left to send.
    pub(crate) fn is_done(&self, now: Instant) -> bool {
        self.stopped == Stopped::Yes && self.closed.values().all(|closed| closed.due > now)
    }

    /// Begins a stream.
    pub(crate) fn begin(&self) -> Sent {
        let open_s = self.open.as_ref().map(|state| state.slot_start_s);
        let newest_s = open_s.or_else(|| self.closed.last_key_value().map(|entry| *entry.0)).unwrap_or(0);
        Sent { until_slot_s: newest_s, open_version: 0, closed: BTreeMap::new(), definitions: 0 }
    }

    /// What to send next: definitions before the states that use them, the open slot before the closed ones, and of
    /// those the newest first, so that the present is right at once after an outage.
    pub(crate) fn next(&self, sent: &mut Sent, now: Instant) -> Next {
        if sent.definitions < self.dictionary.len() {
            // Numbers in the dictionary are stable, but new ones are not always the last.
            sent.definitions = self.dictionary.len();
            return Next::Define(self.dictionary.clone());
        }
        let open = self.open.as_ref().filter(|open| open.slot_start_s == sent.until_slot_s);
        if let Some(open) = open.filter(|open| open.version > sent.open_version) {
            sent.open_version = open.version;
            return Next::Send(Arc::clone(open));
        }
        let due =
            |(slot_s, closed): &(&u32, &Closed)| closed.due <= now && !sent.closed.contains_key(*slot_s);
        if let Some((&slot_s, closed)) = self.closed.iter().rev().find(due) {
            sent.closed.insert(slot_s, closed.state.version);
            return Next::Send(Arc::clone(&closed.state));
        }
        let slot_goes_on = open.is_some();
        if slot_goes_on && self.stopped == Stopped::No { Next::Wait } else { Next::End }
    }

    /// The aggregator has answered a stream.
    pub(crate) fn acknowledge(&mut self, sent: &Sent, acks: &[SlotAck], now: Instant) {
        let acks: BTreeMap<u32, &SlotAck> = acks.iter().map(|ack| (ack.slot_start_s, ack)).collect();
        for (&slot_s, &version) in &sent.closed {
            match acks.get(&slot_s) {
                Some(ack) if ack.version >= version && ack.persisted => {
                    self.remove(slot_s);
                }
                Some(_) => {
                    if let Some(closed) = self.closed.get_mut(&slot_s) {
                        closed.due = now + ASK_AGAIN;
                    }
                }
                // Left out of a complete answer: refused, and so it will be the next time.
                None => self.give_up(slot_s),
            }
        }
    }

    /// A stream has failed: the aggregator may have lost what it had in memory only.
    pub(crate) fn send_all_again(&mut self, now: Instant) {
        self.closed.values_mut().for_each(|closed| closed.due = closed.due.min(now));
    }

    fn give_up(&mut self, slot_s: u32) {
        if let Some(closed) = self.remove(slot_s) {
            let requests = closed.state.series.iter().flat_map(|series| &series.count);
            self.expired.slots += 1;
            self.expired.requests += requests.map(|&n| u64::from(n)).sum::<u64>();
        }
    }

    fn remove(&mut self, slot_s: u32) -> Option<Closed> {
        let closed = self.closed.remove(&slot_s)?;
        self.closed_bytes -= closed.bytes;
        Some(closed)
    }
}

#[cfg(test)]
mod tests {
    use proto::metrics::v1::SeriesState;

    use super::*;

    fn state(slot_start_s: u32, version: u64) -> SlotState {
        let series = vec![SeriesState { gap: vec![1], count: vec![3], ..SeriesState::default() }];
        SlotState { slot_start_s, version, series, ..SlotState::default() }
    }

    fn ack(slot_start_s: u32, version: u64, persisted: bool) -> SlotAck {
        SlotAck { slot_start_s, version, persisted }
    }

    /// Everything the stream would send until it waits or ends, as (slot, version).
    fn drain(backlog: &Backlog, sent: &mut Sent, now: Instant) -> (Vec<(u32, u64)>, Next) {
        let mut states = Vec::new();
        loop {
            match backlog.next(sent, now) {
                Next::Send(state) => states.push((state.slot_start_s, state.version)),
                Next::Define(_) => {}
                end @ (Next::Wait | Next::End) => return (states, end),
            }
        }
    }

    #[test]
    fn the_present_first_then_backwards() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        for slot in [10, 20, 30] {
            backlog.close(state(slot, 1), now);
        }
        backlog.define(1, || vec![SeriesDef::default()]);
        backlog.open(state(40, 1));
        let mut sent = backlog.begin();
        assert!(matches!(backlog.next(&mut sent, now), Next::Define(_)), "definitions before states");
        let (states, end) = drain(&backlog, &mut sent, now);
        assert_eq!(states, [(40, 1), (30, 1), (20, 1), (10, 1)]);
        assert!(matches!(end, Next::Wait), "the slot goes on");

        backlog.open(state(40, 2));
        assert_eq!(drain(&backlog, &mut sent, now).0, [(40, 2)]);

        backlog.close(state(40, 3), now);
        backlog.open(state(50, 4));
        let (states, end) = drain(&backlog, &mut sent, now);
        assert_eq!(states, [(40, 3)]);
        assert!(matches!(end, Next::End), "a stream ends with its slot");
    }

    #[test]
    fn kept_until_it_is_safe() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        for slot in [10, 20, 30] {
            backlog.close(state(slot, 7), now);
        }
        let mut sent = backlog.begin();
        drain(&backlog, &mut sent, now);
        backlog.acknowledge(&sent, &[ack(10, 7, true), ack(20, 7, false), ack(30, 6, true)], now);
        assert_eq!(backlog.closed.keys().copied().collect::<Vec<_>>(), [20, 30]);

        assert_eq!(drain(&backlog, &mut backlog.begin(), now).0, [], "not at once");
        assert_eq!(drain(&backlog, &mut backlog.begin(), now + ASK_AGAIN).0, [(30, 7), (20, 7)]);
        backlog.send_all_again(now);
        assert_eq!(
            drain(&backlog, &mut backlog.begin(), now).0,
            [(30, 7), (20, 7)],
            "at once after a failure"
        );
        assert_eq!(backlog.expired, Expired::default());
    }

    #[test]
    fn refused_slots_are_given_up_and_counted() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        backlog.close(state(10, 1), now);
        backlog.close(state(20, 1), now);
        let mut sent = backlog.begin();
        drain(&backlog, &mut sent, now);
        backlog.acknowledge(&sent, &[ack(20, 1, true)], now);
        assert_eq!((backlog.closed_len(), backlog.closed_bytes), (0, 0));
        assert_eq!(backlog.expired, Expired { slots: 1, requests: 3 });
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        for slot in 0..400 {
            backlog.close(state(slot * 10, 1), now);
        }
        assert_eq!(backlog.closed_len(), BACKLOG_SLOTS_MAX);
        assert_eq!(backlog.closed.first_key_value().map(|entry| *entry.0), Some(400));
        assert_eq!(backlog.expired, Expired { slots: 40, requests: 120 });
    }

    #[test]
    fn bytes_are_bounded() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        for slot in 0..40 {
            let series =
                SeriesState { gap: vec![1; 1 << 19], count: vec![1; 1 << 19], ..SeriesState::default() };
            backlog.close(SlotState { series: vec![series], ..state(slot * 10, 1) }, now);
            assert!(backlog.closed_bytes <= BACKLOG_BYTES_MAX);
        }
        assert_eq!(backlog.closed_bytes, backlog.closed.values().map(|closed| closed.bytes).sum::<usize>());
        assert!(backlog.closed_len() >= 10, "{}", backlog.closed_len());
    }

    #[test]
    fn stopping_ends_the_stream_once_all_is_sent() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        backlog.open(state(40, 1));
        let mut sent = backlog.begin();
        drain(&backlog, &mut sent, now);
        backlog.close(state(40, 2), now);
        backlog.stop();
        let (states, end) = drain(&backlog, &mut sent, now);
        assert_eq!(states, [(40, 2)]);
        assert!(matches!(end, Next::End));
    }
}
