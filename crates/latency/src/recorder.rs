//! Where requests are counted: one shard per thread, merged when somebody reads.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{
    clock::Reading,
    prometheus::HitRate,
    series::{self, CacheState, Endpoint, EndpointId, SeriesId, StatusClass},
    shard::{Record, Shard},
    sketch::Sketch,
    timing::Timing,
};

/// Endpoints of one recorder, the one for unknown routes included.
pub const ENDPOINTS_MAX: usize = 256;

/// Route of the endpoint that every recorder has for requests that match none of its routes.
pub const OTHER: &str = "_OTHER";

/// Threads with a shard of their own. Further threads share one, behind a lock.
const SHARDS_MAX: usize = 256;

/// Counts requests. A handle: cheap to clone, and alive until the process ends.
///
/// Recording takes no lock, allocates nothing and does no atomic read-modify-write once a thread has seen a series.
/// (The exceptions: a thread beyond the 256th, and a thread that is just ending, share one shard behind a lock.)
#[derive(Clone, Debug)]
pub struct Recorder(&'static Inner);

#[derive(Debug)]
struct Inner {
    endpoints: Vec<Endpoint>,
    threshold_ns: Vec<u64>,
    /// Advanced by the reporter at each slot; only the longest duration of a series looks at it.
    tick: AtomicU64,
    shards: Mutex<Shards>,
    shared: Mutex<&'static Shard>,
    hit_rate: Mutex<HitRate>,
}

#[derive(Debug)]
struct Shards {
    all: Vec<&'static Shard>,
    /// Shards whose thread has ended. The next new thread goes on counting in one of them, so nothing is ever lost
    /// and short-lived threads cost nothing.
    idle: Vec<&'static Shard>,
}

/// The place of this thread in one recorder.
struct Seat {
    inner: &'static Inner,
    /// `None` when the recorder has no shard left for this thread.
    shard: Option<&'static Shard>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(shard) = self.shard {
            lock(&self.inner.shards).idle.push(shard);
        }
    }
}

thread_local! {
    static SEATS: RefCell<Vec<Seat>> = const { RefCell::new(Vec::new()) };
}

/// Counters have no broken intermediate state, so a panic elsewhere does not make them unusable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// A recorder for these endpoints and one more, [`OTHER`]. Its memory is never given back: make one per process
    /// and kind of traffic. Calibrates the clock when it is the first, which takes up to 200 ms.
    ///
    /// # Panics
    ///
    /// With more than [`ENDPOINTS_MAX`] endpoints: routes are written in code, so that is a mistake in code.
    pub fn new(mut endpoints: Vec<Endpoint>) -> Recorder {
        let other_threshold = endpoints.iter().map(|endpoint| endpoint.threshold).max().unwrap_or_default();
        endpoints.push(Endpoint { route: OTHER, method: OTHER, threshold: other_threshold });
        assert!(endpoints.len() <= ENDPOINTS_MAX, "a recorder holds at most {ENDPOINTS_MAX} endpoints");
        let _calibrated = Reading::now();
        let threshold =
            |endpoint: &Endpoint| u64::try_from(endpoint.threshold.as_nanos()).unwrap_or(u64::MAX);
        let shared: &'static Shard = Box::leak(Box::new(Shard::new(endpoints.len())));
        Recorder(Box::leak(Box::new(Inner {
            threshold_ns: endpoints.iter().map(threshold).collect(),
            endpoints,
            tick: AtomicU64::new(0),
            shards: Mutex::new(Shards { all: vec![shared], idle: Vec::new() }),
            shared: Mutex::new(shared),
            hit_rate: Mutex::new(HitRate::starting(Instant::now())),
        })))
    }

    /// The endpoint with this method and route, or `None`. For start-up; keep the id.
    pub fn endpoint(&self, method: &str, route: &str) -> Option<EndpointId> {
        let position = self.0.endpoints.iter().position(|e| e.method == method && e.route == route)?;
        Some(EndpointId(position as u16))
    }

    /// The endpoint for requests that match no route.
    pub fn other(&self) -> EndpointId {
        EndpointId((self.0.endpoints.len() - 1) as u16)
    }

    /// Every endpoint, in the order of [`Recorder::new`], [`OTHER`] last.
    pub fn endpoints(&self) -> impl Iterator<Item = (EndpointId, &'static Endpoint)> + use<> {
        self.0
            .endpoints
            .iter()
            .enumerate()
            .map(|(position, endpoint)| (EndpointId(position as u16), endpoint))
    }

    /// Starts timing a request whose first byte arrived at `started`.
    #[inline]
    pub fn start(&self, endpoint: EndpointId, started: Reading) -> Timing {
        Timing::new(self.clone(), endpoint, started)
    }

    /// Counts a request that took `ns` nanoseconds.
    #[inline]
    pub fn record(&self, endpoint: EndpointId, status: u16, cache: CacheState, ns: u64) {
        let inner = self.0;
        let endpoint = usize::from(endpoint.0).min(inner.endpoints.len() - 1);
        // What is no HTTP status is a mistake of ours.
        let status = if (100..600).contains(&status) { status } else { 500 };
        let record = Record {
            endpoint,
            row: series::row(StatusClass::of(status), cache),
            status,
            ns,
            slow: u64::from(ns > inner.threshold_ns[endpoint]),
            tick: inner.tick.load(Ordering::Relaxed),
        };
        let seated = SEATS.try_with(|seats| {
            let shard =
                seats.borrow().iter().find(|seat| std::ptr::eq(seat.inner, inner)).map(|seat| seat.shard);
            shard.unwrap_or_else(|| inner.take_seat(seats))
        });
        match seated {
            Ok(Some(shard)) => shard.record(record),
            // No shard left, or this thread is ending and its thread-locals are gone.
            Ok(None) | Err(_) => lock(&inner.shared).record(record),
        }
    }

    /// Timings since the process started, merged over threads.
    ///
    /// A request that is being recorded at this moment may be missing from it, or be there in part; no counter ever
    /// goes back.
    pub fn snapshot(&self) -> Sketch {
        let mut total = Sketch::default();
        self.series().values().for_each(|sketch| total.merge(sketch));
        total
    }

    pub(crate) fn series(&self) -> BTreeMap<SeriesId, Sketch> {
        let mut series = BTreeMap::<SeriesId, Sketch>::new();
        for shard in self.shards() {
            for (id, row) in shard.rows() {
                let read = row.read(id.class(), 0).map(|read| read.1);
                series.entry(id).or_default().merge(&read.unwrap_or_else(|| row.read_as_is(id.class(), 0)));
            }
        }
        series
    }

    pub(crate) fn endpoint_of(&self, series: SeriesId) -> &'static Endpoint {
        &self.0.endpoints[series.endpoint()]
    }

    pub(crate) fn threshold_ns(&self, series: SeriesId) -> u64 {
        self.0.threshold_ns[series.endpoint()]
    }

    /// Every shard there is, in an order that only ever gets longer.
    pub(crate) fn shards(&self) -> Vec<&'static Shard> {
        lock(&self.0.shards).all.clone()
    }

    /// Ends the tick, and says which one it was. For the one reporter.
    pub(crate) fn next_tick(&self) -> u64 {
        self.0.tick.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn hit_rate(&self) -> MutexGuard<'static, HitRate> {
        lock(&self.0.hit_rate)
    }
}

impl Inner {
    #[cold]
    fn take_seat(&'static self, seats: &RefCell<Vec<Seat>>) -> Option<&'static Shard> {
        let mut shards = lock(&self.shards);
        let shard = match shards.idle.pop() {
            Some(idle) => Some(idle),
            None if shards.all.len() <= SHARDS_MAX => {
                let new: &'static Shard = Box::leak(Box::new(Shard::new(self.endpoints.len())));
                shards.all.push(new);
                Some(new)
            }
            None => None,
        };
        seats.borrow_mut().push(Seat { inner: self, shard });
        shard
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, time::Duration};

    use super::*;

    fn recorder() -> (Recorder, EndpointId) {
        let threshold = Duration::from_millis(500);
        let recorder = Recorder::new(vec![Endpoint { route: "/a", method: "GET", threshold }]);
        let endpoint = recorder.endpoint("GET", "/a").expect("just given");
        (recorder, endpoint)
    }

    #[test]
    fn many_threads_lose_nothing() {
        let (recorder, endpoint) = recorder();
        let (threads, records) = (8, 20_000_u64);
        std::thread::scope(|scope| {
            let recorder = &recorder;
            for thread in 0..threads {
                scope.spawn(move || {
                    for n in 0..records {
                        let status = if n % 10 == 0 { 500 } else { 200 };
                        recorder.record(endpoint, status, CacheState::HitL1, (thread + 1) * n);
                    }
                });
            }
        });
        let total = recorder.snapshot();
        assert_eq!(total.count(), threads * records);
        assert_eq!(total.codes().total_of(500..501), threads * records / 10);
        let sum_per_thread = records * (records - 1) / 2;
        assert_eq!(total.sum_ns, (1..=threads).map(|thread| thread * sum_per_thread).sum::<u64>());
        assert_eq!(total.max_ns, threads * (records - 1));
    }

    #[test]
    fn a_row_is_read_as_of_one_moment() {
        let (recorder, endpoint) = recorder();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Every record takes 1,000 ns, so in any consistent view the sum is a thousand times the count.
                for _ in 0..300_000 {
                    recorder.record(endpoint, 200, CacheState::Miss, 1_000);
                }
                done.store(true, Ordering::Release);
            });
            let mut last = 0;
            while !done.load(Ordering::Acquire) {
                for shard in recorder.shards() {
                    for (id, row) in shard.rows() {
                        let Some((_, sketch)) = row.read(id.class(), 0) else { continue };
                        assert_eq!(sketch.sum_ns, 1_000 * sketch.count());
                        assert_eq!(sketch.codes().total(), sketch.count());
                        assert!(sketch.count() >= last, "a counter went back");
                        last = sketch.count();
                    }
                }
            }
        });
        assert_eq!(recorder.snapshot().count(), 300_000);
    }

    #[test]
    fn shards_of_ended_threads_are_used_again_and_keep_their_counts() {
        let (recorder, endpoint) = recorder();
        for _ in 0..50 {
            std::thread::scope(|scope| {
                scope.spawn(|| recorder.record(endpoint, 200, CacheState::None, 5)).join().expect("no panic");
            });
        }
        assert_eq!(recorder.snapshot().count(), 50);
        // One behind the lock, and a few at most for threads that overlapped with the end of the one before.
        assert!(recorder.shards().len() < 10, "{} shards", recorder.shards().len());
    }

    #[test]
    fn threads_without_a_shard_share_one() {
        let (recorder, endpoint) = recorder();
        let together = std::sync::Barrier::new(SHARDS_MAX + 20);
        std::thread::scope(|scope| {
            for _ in 0..SHARDS_MAX + 20 {
                scope.spawn(|| {
                    recorder.record(endpoint, 200, CacheState::None, 5);
                    together.wait();
                    recorder.record(endpoint, 200, CacheState::None, 5);
                });
            }
        });
        assert_eq!(recorder.shards().len(), SHARDS_MAX + 1);
        assert_eq!(recorder.snapshot().count(), 2 * (SHARDS_MAX as u64 + 20));
    }

    #[test]
    fn slow_is_exact_at_the_threshold() {
        let (recorder, endpoint) = recorder();
        recorder.record(endpoint, 200, CacheState::None, 500_000_000);
        assert_eq!(recorder.snapshot().slow, 0);
        recorder.record(endpoint, 200, CacheState::None, 500_000_001);
        assert_eq!(recorder.snapshot().slow, 1);
    }

    #[test]
    fn recorders_do_not_mix() {
        let ((one, endpoint), (other, _)) = (recorder(), recorder());
        one.record(endpoint, 200, CacheState::None, 5);
        other.record(endpoint, 200, CacheState::None, 5);
        one.record(endpoint, 200, CacheState::None, 5);
        assert_eq!((one.snapshot().count(), other.snapshot().count()), (2, 1));
    }

    #[test]
    fn unknown_routes_and_impossible_statuses_are_counted_too() {
        let (recorder, _) = recorder();
        assert_eq!(recorder.endpoint("GET", "/b"), None);
        recorder.record(recorder.other(), 0, CacheState::None, 5);
        recorder.record(recorder.other(), 1_000, CacheState::None, 5);
        assert_eq!(recorder.snapshot().codes().iter().collect::<Vec<_>>(), [(500, 2)]);
    }
}
