//! A set of timings as counts per bucket: mergeable, subtractable, and the same whatever the order of merging.

use proto::metrics::v1::{CodeCount, SeriesState};

use crate::layout;

/// One more than the largest HTTP status.
const CODES: usize = 600;

/// Counts under sorted keys, without zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<(u16, u64)>);

impl Counts {
    /// Takes entries whose keys are strictly increasing and whose counts are not zero.
    pub(crate) fn from_sorted(entries: Vec<(u16, u64)>) -> Counts {
        debug_assert!(entries.is_sorted_by(|a, b| a.0 < b.0), "keys increase");
        debug_assert!(entries.iter().all(|entry| entry.1 > 0), "no zeros");
        Counts(entries)
    }

    /// The entries, by increasing key.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sum of all counts.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|entry| entry.1).sum()
    }

    /// Sum of the counts whose key is in `keys`.
    pub fn total_of(&self, keys: std::ops::Range<u16>) -> u64 {
        self.0.iter().filter(|entry| keys.contains(&entry.0)).map(|entry| entry.1).sum()
    }

    fn merge(&mut self, other: &Counts) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        let mut merged = Vec::with_capacity(self.0.len().max(other.0.len()));
        let (mut left, mut right) = (self.0.iter().copied().peekable(), other.0.iter().copied().peekable());
        loop {
            match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a.0 == b.0 => {
                    merged.push((a.0, a.1 + b.1));
                    left.next();
                    right.next();
                }
                (Some(a), Some(b)) if a.0 > b.0 => merged.extend(right.next()),
                (Some(_), _) => merged.extend(left.next()),
                (None, Some(_)) => merged.extend(right.next()),
                (None, None) => break,
            }
        }
        self.0 = merged;
    }

    fn subtract(&mut self, other: &Counts) {
        let mut right = other.0.iter().copied().peekable();
        self.0.retain_mut(|(key, count)| {
            while right.next_if(|entry| entry.0 < *key).is_some() {
                debug_assert!(false, "subtracting what was never merged");
            }
            if let Some((_, less)) = right.next_if(|entry| entry.0 == *key) {
                debug_assert!(*count >= less, "subtracting more than was merged");
                *count = count.saturating_sub(less);
            }
            *count > 0
        });
    }
}

/// Timings of one series, or of several merged.
///
/// Merging is associative and commutative to the bit, and subtracting undoes it. Only `max_ns` is not undone: after
/// a subtraction it is an upper bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    pub(crate) buckets: Counts,
    pub(crate) codes: Counts,
    /// Sum of all durations, in nanoseconds.
    pub sum_ns: u64,
    /// Requests over their endpoint's threshold, exactly.
    pub slow: u64,
    /// Longest duration, in nanoseconds.
    pub max_ns: u64,
}

/// A series state that does not describe a sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There must be a count for every gap.
    #[error("{gaps} gaps but {counts} counts")]
    Lengths {
        /// Number of gaps.
        gaps: usize,
        /// Number of counts.
        counts: usize,
    },
    /// Buckets must be increasing and within the layout, and none empty.
    #[error("bucket list is not increasing, has an empty bucket, or leaves the layout")]
    Buckets,
    /// Codes must be increasing HTTP statuses that add up to the number of requests.
    #[error("status codes are not increasing, not HTTP statuses, or do not add up to the requests")]
    Codes,
}

impl Sketch {
    /// Number of requests.
    pub fn count(&self) -> u64 {
        self.buckets.total()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Requests per bucket of [`layout`].
    pub fn buckets(&self) -> &Counts {
        &self.buckets
    }

    /// Requests per exact HTTP status.
    pub fn codes(&self) -> &Counts {
        &self.codes
    }

    /// Adds the timings of `other`.
    pub fn merge(&mut self, other: &Sketch) {
        self.buckets.merge(&other.buckets);
        self.codes.merge(&other.codes);
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        self.slow = self.slow.wrapping_add(other.slow);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Takes away timings that were merged before.
    pub fn subtract(&mut self, other: &Sketch) {
        self.buckets.subtract(&other.buckets);
        self.codes.subtract(&other.codes);
        self.sum_ns = self.sum_ns.wrapping_sub(other.sum_ns);
        self.slow = self.slow.wrapping_sub(other.slow);
        self.max_ns = match self.buckets.0.last() {
            None => 0,
            Some(&(top, _)) if usize::from(top) + 1 == layout::BUCKETS => self.max_ns,
            Some(&(top, _)) => self.max_ns.min(layout::bounds(top).1 - 1),
        };
    }

    /// The longest duration was at least this long, by its bucket.
    pub(crate) fn shortest_possible_max_ns(&self) -> u64 {
        self.buckets.0.last().map_or(0, |&(top, _)| layout::bounds(top).0)
    }

    /// The duration that the share `q` (0 to 1) of requests did not exceed, by nearest rank, in nanoseconds.
    ///
    /// Off by at most [`layout::ERROR_BOUND`] up to [`layout::TOP_NS`]. 0 without requests.
    pub fn quantile(&self, q: f64) -> u64 {
        let count = self.count();
        if count == 0 {
            return 0;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        for (index, n) in self.buckets.iter() {
            seen += n;
            if seen >= rank {
                let open_ended = usize::from(index) + 1 == layout::BUCKETS;
                return if open_ended { self.max_ns } else { layout::midpoint(index).min(self.max_ns) };
            }
        }
        self.max_ns
    }

    /// Requests of at most `ns`, counting each bucket by its midpoint.
    pub fn count_up_to(&self, ns: u64) -> u64 {
        self.buckets.iter().take_while(|entry| layout::midpoint(entry.0) <= ns).map(|entry| entry.1).sum()
    }

    /// As a message. A count beyond `u32`, which no slot of seconds can hold, is cut to it.
    pub fn encode(&self, id: u32) -> SeriesState {
        let mut previous = 0;
        let mut state = SeriesState {
            id,
            sum_ns: self.sum_ns,
            slow: self.slow,
            max_ns: self.max_ns,
            gap: Vec::with_capacity(self.buckets.0.len()),
            count: Vec::with_capacity(self.buckets.0.len()),
            code: Vec::with_capacity(self.codes.0.len()),
        };
        for (index, n) in self.buckets.iter() {
            state.gap.push(u32::from(index - previous));
            state.count.push(u32::try_from(n).unwrap_or(u32::MAX));
            previous = index;
        }
        for (code, n) in self.codes.iter() {
            state.code.push(CodeCount { code: u32::from(code), n: u32::try_from(n).unwrap_or(u32::MAX) });
        }
        state
    }

    /// From a message, checked: a sketch that decodes can be merged with any other.
    pub fn decode(state: &SeriesState) -> Result<Sketch, Malformed> {
        if state.gap.len() != state.count.len() {
            return Err(Malformed::Lengths { gaps: state.gap.len(), counts: state.count.len() });
        }
        let mut buckets = Vec::with_capacity(state.gap.len());
        let mut index = 0_u64;
        for (&gap, &count) in state.gap.iter().zip(&state.count) {
            index += u64::from(gap);
            let standing_still = gap == 0 && !buckets.is_empty();
            if standing_still || count == 0 || index >= layout::BUCKETS as u64 {
                return Err(Malformed::Buckets);
            }
            buckets.push((index as u16, u64::from(count)));
        }
        let mut codes: Vec<(u16, u64)> = Vec::with_capacity(state.code.len());
        for &CodeCount { code, n } in &state.code {
            let increasing = codes.last().is_none_or(|last| u32::from(last.0) < code);
            if !increasing || n == 0 || !(100..600).contains(&code) {
                return Err(Malformed::Codes);
            }
            codes.push((code as u16, u64::from(n)));
        }
        let (buckets, codes) = (Counts(buckets), Counts(codes));
        if buckets.total() != codes.total() {
            return Err(Malformed::Codes);
        }
        Ok(Sketch { buckets, codes, sum_ns: state.sum_ns, slow: state.slow, max_ns: state.max_ns })
    }
}

/// Adds up many sketches faster than merging them one after the other.
#[derive(Debug)]
pub struct Sum {
    buckets: Box<[u64]>,
    codes: Box<[u64]>,
    sum_ns: u64,
    slow: u64,
    max_ns: u64,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum {
            buckets: vec![0; layout::BUCKETS].into(),
            codes: vec![0; CODES].into(),
            sum_ns: 0,
            slow: 0,
            max_ns: 0,
        }
    }
}

impl Sum {
    /// Adds a sketch.
    pub fn add(&mut self, sketch: &Sketch) {
        for (index, n) in sketch.buckets.iter() {
            self.buckets[usize::from(index)] += n;
        }
        for (code, n) in sketch.codes.iter() {
            self.codes[usize::from(code)] += n;
        }
        self.sum_ns = self.sum_ns.wrapping_add(sketch.sum_ns);
        self.slow = self.slow.wrapping_add(sketch.slow);
        self.max_ns = self.max_ns.max(sketch.max_ns);
    }

    /// Everything added, as one sketch.
    pub fn total(&self) -> Sketch {
        Sketch {
            buckets: counts_of(&self.buckets),
            codes: counts_of(&self.codes),
            sum_ns: self.sum_ns,
            slow: self.slow,
            max_ns: self.max_ns,
        }
    }
}

fn counts_of(counters: &[u64]) -> Counts {
    let keyed = counters.iter().enumerate().map(|(key, &n)| (key as u16, n));
    Counts(keyed.filter(|entry| entry.1 > 0).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch_of(requests: &[(u64, u16)]) -> Sketch {
        let mut sketch = Sketch::default();
        for &(ns, code) in requests {
            sketch.merge(&Sketch {
                buckets: Counts(vec![(layout::index(ns), 1)]),
                codes: Counts(vec![(code, 1)]),
                sum_ns: ns,
                slow: u64::from(ns > 500_000_000),
                max_ns: ns,
            });
        }
        sketch
    }

    fn requests() -> impl Strategy<Value = Vec<(u64, u16)>> {
        let ns =
            prop_oneof![0..20_000_u64, 0..2_000_000_000_u64, 0..100_000_000_000_u64, Just(u64::MAX >> 16)];
        proptest::collection::vec((ns, prop_oneof![Just(200_u16), Just(404), Just(499), 100..600_u16]), 0..60)
    }

    proptest! {
        #[test]
        fn merge_is_commutative_and_associative(a in requests(), b in requests(), c in requests()) {
            let (a, b, c) = (sketch_of(&a), sketch_of(&b), sketch_of(&c));
            let (mut ab, mut ba, mut bc) = (a.clone(), b.clone(), b.clone());
            ab.merge(&b);
            ba.merge(&a);
            prop_assert_eq!(&ab, &ba);
            let (mut ab_c, mut a_bc) = (ab, a);
            ab_c.merge(&c);
            bc.merge(&c);
            a_bc.merge(&bc);
            prop_assert_eq!(ab_c, a_bc);
        }

        #[test]
        fn a_sum_is_the_merge(sketches in proptest::collection::vec(requests(), 0..5)) {
            let (mut merged, mut sum) = (Sketch::default(), Sum::default());
            for requests in sketches {
                let sketch = sketch_of(&requests);
                merged.merge(&sketch);
                sum.add(&sketch);
            }
            prop_assert_eq!(sum.total(), merged);
        }

        #[test]
        fn subtract_undoes_merge(a in requests(), b in requests()) {
            let (a, b) = (sketch_of(&a), sketch_of(&b));
            let mut both = a.clone();
            both.merge(&b);
            both.subtract(&b);
            prop_assert!(both.max_ns >= a.max_ns, "the maximum stays an upper bound");
            both.max_ns = a.max_ns;
            prop_assert_eq!(both, a);
        }

        #[test]
        fn quantiles_are_those_of_the_sorted_list(requests in requests(), q in 0.0..=1.0_f64) {
            let sketch = sketch_of(&requests);
            let mut sorted: Vec<u64> = requests.iter().map(|request| request.0).collect();
            sorted.sort_unstable();
            prop_assert_eq!(sketch.count(), sorted.len() as u64);
            let Some(&longest) = sorted.last() else {
                prop_assert_eq!(sketch.quantile(q), 0);
                return Ok(());
            };
            let exact = sorted[((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1];
            let got = sketch.quantile(q);
            if exact >= layout::TOP_NS {
                prop_assert_eq!(got, longest);
            } else {
                prop_assert!(got.abs_diff(exact) as f64 <= (exact as f64 * layout::ERROR_BOUND).max(32.0),
                    "{got} instead of {exact}");
            }
            prop_assert!(got <= longest, "never beyond what was seen");
        }

        #[test]
        fn comes_back_from_the_wire(requests in requests(), id: u32) {
            let sketch = sketch_of(&requests);
            let state = sketch.encode(id);
            prop_assert_eq!(state.id, id);
            prop_assert_eq!(Sketch::decode(&state), Ok(sketch));
        }

        #[test]
        fn whatever_arrives_decodes_or_is_refused(
            gap in proptest::collection::vec(prop_oneof![0..50_u32, any::<u32>()], 0..8),
            count in proptest::collection::vec(prop_oneof![0..3_u32, any::<u32>()], 0..8),
            code in proptest::collection::vec((0..700_u32, 0..3_u32), 0..4),
        ) {
            let code = code.into_iter().map(|(code, n)| CodeCount { code, n }).collect();
            let state = SeriesState { gap, count, code, ..SeriesState::default() };
            if let Ok(sketch) = Sketch::decode(&state) {
                prop_assert_eq!(sketch.encode(0), state);
                prop_assert_eq!(sketch.codes().total(), sketch.count());
            }
        }
    }

    #[test]
    fn refusals() {
        fn check(gap: &[u32], count: &[u32], codes: &[(u32, u32)], expected: Malformed) {
            let state = SeriesState {
                gap: gap.to_vec(),
                count: count.to_vec(),
                code: codes.iter().map(|&(code, n)| CodeCount { code, n }).collect(),
                ..SeriesState::default()
            };
            assert_eq!(Sketch::decode(&state), Err(expected), "{state:?}");
        }
        check(&[1], &[], &[], Malformed::Lengths { gaps: 1, counts: 0 });
        check(&[3_072], &[1], &[(200, 1)], Malformed::Buckets);
        check(&[3_000, u32::MAX], &[1, 1], &[(200, 2)], Malformed::Buckets);
        check(&[5, 0], &[1, 1], &[(200, 2)], Malformed::Buckets);
        check(&[5], &[0], &[], Malformed::Buckets);
        check(&[5], &[2], &[(200, 1)], Malformed::Codes);
        check(&[5], &[1], &[(99, 1)], Malformed::Codes);
        check(&[5], &[1], &[(600, 1)], Malformed::Codes);
        check(&[5], &[2], &[(404, 1), (200, 1)], Malformed::Codes);
        check(&[5], &[1], &[(200, 1), (404, 0)], Malformed::Codes);
    }
}
