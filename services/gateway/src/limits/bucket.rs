//! One bucket: the moment at which it will be full again, and what the fleet has not heard of yet.

use std::sync::atomic::{AtomicU64, Ordering};

/// A bucket, full when new. Times are microseconds of the process.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    full_at_us: AtomicU64,
    /// Tokens taken since the last report.
    unreported: AtomicU64,
}

/// What became of a request for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Granted.
    Taken {
        /// Tokens left.
        left: u64,
        /// Microseconds until the bucket is full again.
        full_in_us: u64,
    },
    /// Not granted, and nothing taken.
    Refused {
        /// Microseconds until it could be.
        wait_us: u64,
    },
}

/// Whether a note is the first since the last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    First,
    Again,
}

impl Bucket {
    /// Takes `cost` tokens of a bucket that holds `burst` and regains one every `interval_us`.
    pub(super) fn take(&self, now_us: u64, cost: u64, interval_us: u64, burst: u64) -> Verdict {
        let size_us = burst * interval_us;
        // What costs more than a bucket holds needs a full one.
        let price_us = cost.min(burst) * interval_us;
        let taken = self.full_at_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let full_at = full_at.max(now_us) + price_us;
            (full_at - now_us <= size_us).then_some(full_at)
        });
        match taken {
            Ok(before) => {
                let full_in_us = before.max(now_us) + price_us - now_us;
                Verdict::Taken { left: (size_us - full_in_us) / interval_us, full_in_us }
            }
            Err(full_at) => Verdict::Refused { wait_us: full_at.max(now_us) + price_us - now_us - size_us },
        }
    }

    /// Notes tokens for the next report.
    pub(super) fn note(&self, cost: u64) -> Noted {
        if self.unreported.fetch_add(cost, Ordering::Relaxed) == 0 { Noted::First } else { Noted::Again }
    }

    /// Takes what is noted.
    pub(super) fn forget_notes(&self) -> u64 {
        self.unreported.swap(0, Ordering::Relaxed)
    }

    /// The fleet's bucket is full only in `full_in_us`: so is ours.
    pub(super) fn raise(&self, now_us: u64, full_in_us: u64) {
        self.full_at_us.fetch_max(now_us + full_in_us, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL_US: u64 = 100_000;
    const BURST: u64 = 20;

    proptest! {
        /// In no window of any length is more granted than a burst and the rate times the window.
        #[test]
        fn never_more_than_burst_and_rate(steps in proptest::collection::vec((0..300_000_u64, 1..4_u64), 1..300)) {
            let bucket = Bucket::default();
            let mut now = 10_000_000;
            let mut granted: Vec<(u64, u64)> = Vec::new();
            for (pause, cost) in steps {
                now += pause;
                match bucket.take(now, cost, INTERVAL_US, BURST) {
                    Verdict::Taken { left, .. } => {
                        prop_assert!(left < BURST);
                        granted.push((now, cost));
                    }
                    Verdict::Refused { wait_us } => {
                        prop_assert!(wait_us > 0);
                        let twin = Bucket::default();
                        twin.raise(now, bucket.full_at_us.load(Ordering::Relaxed) - now);
                        let then = twin.take(now + wait_us, cost, INTERVAL_US, BURST);
                        prop_assert!(matches!(then, Verdict::Taken { .. }), "the wait is enough");
                    }
                }
            }
            for (first, &(start, _)) in granted.iter().enumerate() {
                let mut sum = 0;
                for &(at, cost) in &granted[first..] {
                    sum += cost;
                    prop_assert!(sum <= BURST + (at - start) / INTERVAL_US + 1);
                }
            }
        }
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let bucket = Bucket::default();
        assert!(matches!(bucket.take(5_000_000, 19, INTERVAL_US, BURST), Verdict::Taken { left: 1, .. }));
        assert_eq!(bucket.take(5_000_000, 3, INTERVAL_US, BURST), Verdict::Refused { wait_us: 200_000 });
        assert!(matches!(bucket.take(5_000_000, 1, INTERVAL_US, BURST), Verdict::Taken { left: 0, .. }));
    }

    #[test]
    fn what_costs_more_than_a_bucket_needs_a_full_one() {
        let bucket = Bucket::default();
        assert!(matches!(bucket.take(5_000_000, 50, INTERVAL_US, BURST), Verdict::Taken { left: 0, .. }));
        assert!(matches!(bucket.take(5_000_001, 50, INTERVAL_US, BURST), Verdict::Refused { .. }));
    }

    #[test]
    fn only_the_first_note_asks_for_a_report() {
        let bucket = Bucket::default();
        assert_eq!(bucket.note(2), Noted::First);
        assert_eq!(bucket.note(3), Noted::Again);
        assert_eq!(bucket.forget_notes(), 5);
        assert_eq!(bucket.note(1), Noted::First);
    }
}
