//! The counters of one thread: written by that thread alone, only ever growing, readable by any.
//!
//! With a single writer a plain load and store of each counter is enough, so the path has no lock and no atomic
//! read-modify-write. A sequence number per row (odd while a record is being written) lets a reader take a row as of
//! one moment: see H.-J. Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?" (2012).

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering, fence},
};

use crate::{
    layout::{self, PAGE_BUCKETS, PAGES},
    series::{SERIES_PER_ENDPOINT, SeriesId, StatusClass},
    sketch::{Counts, Sketch},
};

/// How often a reader tries again before it leaves a row that is always being written to its next visit.
const READ_TRIES_MAX: u32 = 1_000;

/// A longest duration shares its word with the tick it belongs to: 24 bits of tick above 40 bits (18 minutes) of
/// nanoseconds, so that a plain maximum of words forgets older ticks.
const MAX_NS_BITS: u32 = 40;
const MAX_NS_MASK: u64 = (1 << MAX_NS_BITS) - 1;

/// One record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) endpoint: usize,
    pub(crate) row: usize,
    pub(crate) status: u16,
    pub(crate) ns: u64,
    pub(crate) slow: u64,
    pub(crate) tick: u64,
}

/// Rows of every endpoint, allocated when first written.
#[derive(Debug)]
pub(crate) struct Shard {
    endpoints: Box<[OnceLock<Box<Rows>>]>,
}

/// Rows of one endpoint.
type Rows = [OnceLock<Box<Row>>; SERIES_PER_ENDPOINT];

impl Shard {
    pub(crate) fn new(endpoints: usize) -> Shard {
        Shard { endpoints: std::iter::repeat_with(OnceLock::new).take(endpoints).collect() }
    }

    /// Counts a request. Only one thread at a time may call this; every other may read.
    #[inline]
    pub(crate) fn record(&self, record: Record) {
        let rows = self.endpoints[record.endpoint].get_or_init(|| Box::new([const { OnceLock::new() }; _]));
        rows[record.row].get_or_init(Box::default).record(record);
    }

    /// Every row that was ever written.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (SeriesId, &Row)> {
        self.endpoints
            .iter()
            .enumerate()
            .filter_map(|(endpoint, rows)| Some((endpoint, rows.get()?)))
            .flat_map(|(endpoint, rows)| {
                let written = rows.iter().enumerate().filter_map(|(row, cell)| Some((row, cell.get()?)));
                written.map(move |(row, cell)| (SeriesId::new(endpoint, row), &**cell))
            })
    }
}

type Page = [AtomicU64; PAGE_BUCKETS];

/// Counters of one series on one thread.
#[derive(Debug)]
pub(crate) struct Row {
    sequence: AtomicU64,
    pages: [OnceLock<Box<Page>>; PAGES],
    sum_ns: AtomicU64,
    slow: AtomicU64,
    /// Longest of the even and of the odd ticks: a reader that has just advanced the tick still finds the last one.
    max: [AtomicU64; 2],
    /// By `status % 100`, which together with the series' class is the exact status.
    codes: [AtomicU64; 100],
}

impl Default for Row {
    fn default() -> Row {
        Row {
            sequence: AtomicU64::new(0),
            pages: [const { OnceLock::new() }; PAGES],
            sum_ns: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            max: [const { AtomicU64::new(0) }; 2],
            codes: [const { AtomicU64::new(0) }; 100],
        }
    }
}

/// A single-writer increment: compiles to a plain addition.
#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

impl Row {
    #[inline]
    fn record(&self, Record { status, ns, slow, tick, .. }: Record) {
        let index = usize::from(layout::index(ns));
        let page = self.pages[index / PAGE_BUCKETS]
            .get_or_init(|| Box::new([const { AtomicU64::new(0) }; PAGE_BUCKETS]));
        let longest = &self.max[(tick & 1) as usize];
        let candidate = (tick << MAX_NS_BITS) | ns.min(MAX_NS_MASK);

        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        add(&page[index % PAGE_BUCKETS], 1);
        add(&self.sum_ns, ns);
        add(&self.slow, slow);
        add(&self.codes[usize::from(status % 100)], 1);
        if candidate > longest.load(Ordering::Relaxed) {
            longest.store(candidate, Ordering::Relaxed);
        }
        self.sequence.store(sequence + 2, Ordering::Release);
    }

    /// Changes whenever the row does; never goes back.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// The row as of one moment and its sequence number then, or `None` when a writer did not pause long enough.
    /// `max_ns` is the longest since the start of `tick`.
    pub(crate) fn read(&self, class: StatusClass, tick: u64) -> Option<(u64, Sketch)> {
        for attempt in 1..=READ_TRIES_MAX {
            let before = self.sequence.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let sketch = self.read_as_is(class, tick);
                fence(Ordering::Acquire);
                if self.sequence.load(Ordering::Relaxed) == before {
                    return Some((before, sketch));
                }
            }
            if attempt.is_multiple_of(64) {
                // The writer may have lost its processor in the middle of a record.
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        None
    }

    /// The row without waiting for a moment between two records: each counter is right, but they may be one record
    /// apart.
    pub(crate) fn read_as_is(&self, class: StatusClass, tick: u64) -> Sketch {
        let mut buckets = Vec::new();
        for (page_index, page) in self.pages.iter().enumerate() {
            for (offset, counter) in page.get().into_iter().flat_map(|page| page.iter().enumerate()) {
                let n = counter.load(Ordering::Relaxed);
                if n > 0 {
                    buckets.push(((page_index * PAGE_BUCKETS + offset) as u16, n));
                }
            }
        }
        let mut codes = Vec::new();
        for (slot, counter) in self.codes.iter().enumerate() {
            let n = counter.load(Ordering::Relaxed);
            if n > 0 {
                codes.push((class.status_at(slot as u16), n));
            }
        }
        codes.sort_unstable();
        let max_ns = self.max.iter().map(|longest| longest.load(Ordering::Relaxed));
        let max_ns = max_ns.filter(|word| word >> MAX_NS_BITS >= tick).map(|word| word & MAX_NS_MASK).max();
        Sketch {
            buckets: Counts::from_sorted(buckets),
            codes: Counts::from_sorted(codes),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
            slow: self.slow.load(Ordering::Relaxed),
            max_ns: max_ns.unwrap_or(0),
        }
    }
}
