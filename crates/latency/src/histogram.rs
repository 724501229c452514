//! A histogram that many threads write: for SQL statements and whatever else is not a request.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    layout::{self, PAGE_BUCKETS, PAGES},
    sketch::{Counts, Sketch},
};

/// A shared histogram of durations. Recording takes four atomic additions and no lock; use [`crate::Recorder`] for
/// the path of every request.
#[derive(Debug)]
pub struct Histogram {
    pages: [OnceLock<Box<[AtomicU64; PAGE_BUCKETS]>>; PAGES],
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            pages: [const { OnceLock::new() }; PAGES],
            sum_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Histogram {
        Histogram::default()
    }

    /// Counts a duration.
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let index = usize::from(layout::index(ns));
        let page = self.pages[index / PAGE_BUCKETS]
            .get_or_init(|| Box::new([const { AtomicU64::new(0) }; PAGE_BUCKETS]));
        page[index % PAGE_BUCKETS].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
    }

    /// Everything counted since the start; its count is the sum of its buckets. It has no status codes.
    pub fn snapshot(&self) -> Sketch {
        let mut buckets = Vec::new();
        for (page_index, page) in self.pages.iter().enumerate() {
            for (offset, counter) in page.get().into_iter().flat_map(|page| page.iter().enumerate()) {
                let n = counter.load(Ordering::Relaxed);
                if n > 0 {
                    buckets.push(((page_index * PAGE_BUCKETS + offset) as u16, n));
                }
            }
        }
        Sketch {
            buckets: Counts::from_sorted(buckets),
            codes: Counts::default(),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
            slow: 0,
            max_ns: self.max_ns.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_lose_nothing() {
        let histogram = Histogram::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (1..=1_000).for_each(|us| histogram.record(Duration::from_micros(us))));
            }
        });
        let sketch = histogram.snapshot();
        assert_eq!(sketch.count(), 4_000);
        assert_eq!(sketch.sum_ns, 4 * 500_500_000);
        assert_eq!(sketch.max_ns, 1_000_000);
        assert!(sketch.quantile(0.5).abs_diff(500_000) < 2_000);
    }
}
