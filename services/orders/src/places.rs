//! Places for work under way: who waits for one is let in while there is time to do the work, or turned away with
//! nothing done.
//!
//! Work that cannot end in time helps nobody and takes the time of those who could: a shop that begins everything at
//! once ends nothing. So few are let in at once, first come, first served, and a part of each caller's patience is kept
//! for the work itself. How large a part follows from how long the work has lasted lately.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Callers that may wait at once; one more is turned away at once.
const WAITING_MAX: usize = 512;
/// The newest time counts for an eighth of the average.
const WEIGHT: u64 = 8;

/// So many places. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// How long a place has been held lately, moving average, microseconds.
    held_us: AtomicU64,
}

/// One place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    since: Instant,
    inner: Arc<Inner>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        let free = Arc::new(Semaphore::new(count));
        Self { inner: Arc::new(Inner { free, waiting: AtomicUsize::new(0), held_us: AtomicU64::new(0) }) }
    }

    /// A place for work that must end `within` this time; `None` when too little of it would be left.
    pub(crate) async fn take(&self, within: Duration) -> Option<Place> {
        let free = Arc::clone(&self.inner.free);
        if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
            return Some(self.place(permit));
        }
        let _waiting = Waiting::enter(&self.inner.waiting)?;
        let patience = within.saturating_sub(self.reserve(within));
        let permit = timeout(patience, free.acquire_owned()).await.ok()?;
        Some(self.place(permit.expect("the semaphore is never closed")))
    }

    /// What of `within` is kept for the work: twice as long as usual, an eighth at least and half at most.
    fn reserve(&self, within: Duration) -> Duration {
        let usual = Duration::from_micros(self.inner.held_us.load(Ordering::Relaxed));
        (usual * 2).clamp(within / 8, within / 2)
    }

    fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        Place { since: Instant::now(), inner: Arc::clone(&self.inner), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let held = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX).min(60_000_000);
        // Two at once may lose one of their times: an average bears that.
        let average = self.inner.held_us.load(Ordering::Relaxed);
        let newer = if average == 0 { held } else { (average * (WEIGHT - 1) + held) / WEIGHT };
        self.inner.held_us.store(newer, Ordering::Relaxed);
    }
}

/// One place in the queue, given back on drop.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let place = Waiting(count);
        (count.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_let_in_first_come_first_served() {
        let places = Places::new(1);
        let held = places.take(WITHIN).await.expect("it is free");
        let (first, second) = (places.take(WITHIN), places.take(WITHIN));
        tokio::pin!(first, second);
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop(held);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        let place = first.await.expect("it was first");
        drop(place);
        assert!(second.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_so_long_that_the_work_would_be_late() {
        async fn waits(usual: Duration) -> Duration {
            let places = Places::new(1);
            let first = places.take(WITHIN).await;
            tokio::time::sleep(usual).await;
            drop(first);
            let _held = places.take(WITHIN).await.expect("it is free");
            let begun = Instant::now();
            assert!(places.take(WITHIN).await.is_none());
            begun.elapsed()
        }
        let about = |waited: Duration, expected: u64| {
            waited.abs_diff(Duration::from_millis(expected)) < Duration::from_millis(5)
        };
        assert!(about(waits(Duration::from_millis(10)).await, 1_750));
        assert!(about(waits(Duration::from_millis(300)).await, 1_400));
        assert!(about(waits(Duration::from_millis(900)).await, 1_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_too_long_is_not_joined() {
        let places = Places::new(1);
        let _held = places.take(WITHIN).await;
        places.inner.waiting.store(WAITING_MAX, Ordering::Relaxed);
        let begun = Instant::now();
        assert!(places.take(WITHIN).await.is_none());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(places.inner.waiting.load(Ordering::Relaxed), WAITING_MAX);
    }
}
