//! Cuts the ever-growing counters into slots: what belongs to a slot is what came since the slot before it.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use proto::metrics::v1::{ProcessState, SeriesDef, SlotState};

use crate::{recorder::Recorder, series::SeriesId, sketch::Sketch};

/// Length of a slot.
pub const SLOT_S: u32 = 10;

/// Series that one source reports. Further ones are reported together, so that totals stay right.
pub const SERIES_MAX: usize = 2_000;

/// Largest message to the aggregator.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Route of the series that stands for those beyond [`SERIES_MAX`].
pub const OVERFLOW: &str = "_OVERFLOW";

const OVERFLOW_ID: u32 = u32::MAX;

/// Cuts one recorder. There is one per recorder, because it advances the recorder's tick.
#[derive(Debug)]
pub(crate) struct Cutter {
    recorder: Recorder,
    slot_start_s: u32,
    /// First tick of the slot, for the longest durations.
    tick: u64,
    version: u64,
    /// What each row of each shard held when it was last read.
    rows: BTreeMap<(usize, SeriesId), RowRead>,
    /// Series that have a number on the wire.
    reported: BTreeSet<SeriesId>,
}

#[derive(Debug, Default)]
struct RowRead {
    sequence: u64,
    now: Sketch,
    /// The row when the slot began.
    before: Sketch,
}

/// Why a slot is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The slot goes on: this is its state so far.
    NotYet,
    /// Its time is over.
    Closed,
    /// The process stops before its time is over.
    Stopped {
        /// Length of the slot that was reached.
        len_s: u32,
    },
}

impl Cutter {
    pub(crate) fn new(recorder: Recorder, slot_start_s: u32) -> Cutter {
        Cutter {
            recorder,
            slot_start_s,
            tick: 0,
            version: 0,
            rows: BTreeMap::new(),
            reported: BTreeSet::new(),
        }
    }

    pub(crate) fn slot_start_s(&self) -> u32 {
        self.slot_start_s
    }

    /// The total of the slot so far; with an end other than [`End::NotYet`], the slot at `next_slot_start_s` begins.
    pub(crate) fn cut(&mut self, end: End, process: ProcessState, next_slot_start_s: u32) -> SlotState {
        // The tick ends before the rows are read: whatever is recorded in between still counts for this slot, and its
        // duration is found under the new tick.
        let next_tick = match end {
            End::NotYet => self.tick,
            End::Closed | End::Stopped { .. } => self.recorder.next_tick() + 1,
        };
        self.read_rows();
        let mut series = BTreeMap::<u32, Sketch>::new();
        for (&(_, id), row) in &self.rows {
            if row.now.count() == row.before.count() {
                continue;
            }
            let mut in_slot = row.now.clone();
            in_slot.subtract(&row.before);
            // A record that was on its way while the slot before was cut has left its duration under the old tick.
            in_slot.max_ns = row.now.max_ns.max(in_slot.shortest_possible_max_ns());
            if self.reported.len() < SERIES_MAX - 1 {
                self.reported.insert(id);
            }
            let wire_id = if self.reported.contains(&id) { id.0 } else { OVERFLOW_ID };
            series.entry(wire_id).or_default().merge(&in_slot);
        }
        self.version += 1;
        let (is_final, slot_len_s) = match end {
            End::NotYet => (false, SLOT_S),
            End::Closed => (true, SLOT_S),
            End::Stopped { len_s } => (true, len_s),
        };
        let mut state = SlotState {
            slot_start_s: self.slot_start_s,
            slot_len_s,
            version: self.version,
            r#final: is_final,
            series: series.iter().map(|(&id, sketch)| sketch.encode(id)).collect(),
            process: Some(process),
        };
        fold_until_it_fits(&mut state, series);
        if is_final {
            self.tick = next_tick;
            self.slot_start_s = next_slot_start_s;
            self.rows.values_mut().for_each(|row| row.before.clone_from(&row.now));
        }
        state
    }

    /// Definitions of every series reported so far; it only ever grows.
    pub(crate) fn dictionary(&self) -> Vec<SeriesDef> {
        let overflow = SeriesDef { id: OVERFLOW_ID, route: OVERFLOW.to_owned(), ..SeriesDef::default() };
        let define = |&id: &SeriesId| {
            let endpoint = self.recorder.endpoint_of(id);
            SeriesDef {
                id: id.0,
                route: endpoint.route.to_owned(),
                method: endpoint.method.to_owned(),
                status_class: id.class() as u32,
                cache_state: id.cache() as u32,
                threshold_ns: self.recorder.threshold_ns(id),
            }
        };
        self.reported.iter().map(define).chain([overflow]).collect()
    }

    /// Number of series reported so far.
    pub(crate) fn dictionary_len(&self) -> usize {
        self.reported.len() + 1
    }

    fn read_rows(&mut self) {
        for (number, shard) in self.recorder.shards().into_iter().enumerate() {
            for (id, row) in shard.rows() {
                let read = self.rows.entry((number, id)).or_default();
                if read.sequence == row.sequence() {
                    continue;
                }
                // A row that could not be read as of one moment keeps what was read before: the rest comes with the
                // next state.
                if let Some((sequence, now)) = row.read(id.class(), self.tick) {
                    (read.sequence, read.now) = (sequence, now);
                }
            }
        }
    }
}

/// Reports the least used half of the series together until the state fits into a message.
fn fold_until_it_fits(state: &mut SlotState, mut series: BTreeMap<u32, Sketch>) {
    // Room for the fields around the slot.
    while state.encoded_len() > MESSAGE_BYTES_MAX - 64 && series.len() > 1 {
        let mut by_use: Vec<(u64, u32)> = series.iter().map(|(&id, sketch)| (sketch.count(), id)).collect();
        by_use.retain(|entry| entry.1 != OVERFLOW_ID);
        by_use.sort_unstable();
        for &(_, id) in &by_use[..by_use.len().div_ceil(2)] {
            if let Some(sketch) = series.remove(&id) {
                series.entry(OVERFLOW_ID).or_default().merge(&sketch);
            }
        }
        state.series = series.iter().map(|(&id, sketch)| sketch.encode(id)).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::series::{CacheState, Endpoint, EndpointId};

    fn recorder(endpoints: usize) -> Recorder {
        let route = |n: usize| -> &'static str { String::leak(format!("/{n}")) };
        let threshold = Duration::from_millis(500);
        Recorder::new(
            (0..endpoints).map(|n| Endpoint { route: route(n), method: "GET", threshold }).collect(),
        )
    }

    fn totals(state: &SlotState) -> Sketch {
        let mut total = Sketch::default();
        for series in &state.series {
            total.merge(&Sketch::decode(series).expect("made by encode"));
        }
        total
    }

    fn cut(cutter: &mut Cutter, end: End, next_slot_start_s: u32) -> SlotState {
        cutter.cut(end, ProcessState::default(), next_slot_start_s)
    }

    #[test]
    fn a_slot_is_told_as_its_total_so_far() {
        let recorder = recorder(1);
        let mut cutter = Cutter::new(recorder.clone(), 100);
        recorder.record(EndpointId(0), 200, CacheState::HitL1, 7);
        let first = cut(&mut cutter, End::NotYet, 100);
        recorder.record(EndpointId(0), 200, CacheState::HitL1, 9);
        let second = cut(&mut cutter, End::NotYet, 100);
        let last = cut(&mut cutter, End::Closed, 110);
        assert_eq!([&first, &second, &last].map(|state| totals(state).count()), [1, 2, 2]);
        assert_eq!([&first, &second, &last].map(|state| state.version), [1, 2, 3]);
        assert_eq!([&first, &second, &last].map(|state| state.r#final), [false, false, true]);
        assert_eq!(totals(&last).sum_ns, 16);

        recorder.record(EndpointId(0), 404, CacheState::Miss, 1);
        let next = cut(&mut cutter, End::Stopped { len_s: 4 }, 120);
        assert_eq!((next.slot_start_s, next.slot_len_s, next.r#final), (110, 4, true));
        assert_eq!(totals(&next).codes().iter().collect::<Vec<_>>(), [(404, 1)]);
    }

    #[test]
    fn what_came_before_the_reporter_belongs_to_its_first_slot() {
        let recorder = recorder(1);
        recorder.record(EndpointId(0), 200, CacheState::None, 7);
        let mut cutter = Cutter::new(recorder, 100);
        assert_eq!(totals(&cut(&mut cutter, End::Closed, 110)).count(), 1);
        assert_eq!(totals(&cut(&mut cutter, End::Closed, 120)).count(), 0);
    }

    #[test]
    fn the_longest_is_that_of_the_slot() {
        let recorder = recorder(1);
        let mut cutter = Cutter::new(recorder.clone(), 100);
        for (slot, ns) in [(110, 9_000), (120, 50), (130, 7_000), (140, 60)] {
            recorder.record(EndpointId(0), 200, CacheState::None, ns);
            assert_eq!(totals(&cut(&mut cutter, End::Closed, slot)).max_ns, ns);
        }
    }

    #[test]
    fn slots_add_up_to_everything_while_threads_record() {
        let recorder = recorder(3);
        let mut cutter = Cutter::new(recorder.clone(), 0);
        let mut sum = Sketch::default();
        std::thread::scope(|scope| {
            let recorder = &recorder;
            let threads: Vec<_> = (0..3_u16)
                .map(|endpoint| {
                    scope.spawn(move || {
                        for ns in 0..50_000 {
                            recorder.record(EndpointId(endpoint), 200, CacheState::Miss, ns);
                        }
                    })
                })
                .collect();
            let mut slot = 0;
            while threads.iter().any(|thread| !thread.is_finished()) {
                slot += 10;
                sum.merge(&totals(&cut(&mut cutter, End::Closed, slot)));
            }
        });
        sum.merge(&totals(&cut(&mut cutter, End::Closed, 1)));
        assert_eq!(sum.count(), 150_000);
        assert_eq!(sum.codes().total(), 150_000);
        assert_eq!(sum.sum_ns, recorder.snapshot().sum_ns);
        assert_eq!(sum.max_ns, 49_999);
    }

    #[test]
    fn series_beyond_the_limit_are_reported_together() {
        let recorder = recorder(255);
        let mut requests = 0;
        for endpoint in 0..255 {
            for cache in CacheState::ALL {
                for status in [200, 404] {
                    recorder.record(EndpointId(endpoint), status, cache, 5);
                    requests += 1;
                }
            }
        }
        let mut cutter = Cutter::new(recorder, 100);
        let state = cut(&mut cutter, End::NotYet, 100);
        assert_eq!(state.series.len(), SERIES_MAX);
        assert_eq!(cutter.dictionary().len(), SERIES_MAX);
        assert_eq!(cutter.dictionary_len(), SERIES_MAX);
        assert_eq!(totals(&state).count(), requests);
        assert!(state.series.iter().any(|series| series.id == OVERFLOW_ID));
    }

    #[test]
    fn a_state_fits_into_a_message() {
        let recorder = recorder(200);
        for endpoint in 0..200 {
            for cache in CacheState::ALL {
                for octave in 0..600 {
                    recorder.record(EndpointId(endpoint), 200, cache, octave * octave * 10_000);
                }
            }
        }
        let mut cutter = Cutter::new(recorder, 100);
        let state = cut(&mut cutter, End::NotYet, 100);
        assert!(state.encoded_len() <= MESSAGE_BYTES_MAX, "{} bytes", state.encoded_len());
        assert_eq!(totals(&state).count(), 200 * 8 * 600);
        assert!(state.series.len() > 100, "only as many are folded as must be: {}", state.series.len());
    }
}
