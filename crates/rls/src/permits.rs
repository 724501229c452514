//! How many transactions of each class may run at once: a slow class cannot starve the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// What kind of work a transaction does. The classes' permits sum to the pool's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reads for a waiting caller; the transaction is READ ONLY.
    Read,
    /// Changes for a waiting caller.
    Write,
    /// Work in the background: relay, consumers.
    Worker,
    /// Administration and reports.
    Admin,
}

/// Callers that may wait for a permit of one class; one more is refused at once.
const WAITING_MAX: usize = 256;

/// One counting semaphore per class.
#[derive(Debug)]
pub(crate) struct Permits {
    read: Lane,
    write: Lane,
    worker: Lane,
    admin: Lane,
}

#[derive(Debug)]
struct Lane {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Permits {
    /// Shares `pool_size` (at least 4) out: a quarter each to writes and to workers, one to administration, and the
    /// rest to reads. Workers with one connection alone would fall behind whatever makes their work.
    pub(crate) fn share(pool_size: u32) -> Self {
        let size = pool_size.max(4) as usize;
        let quarter = size / 4;
        let lane = |permits| Lane { free: Arc::new(Semaphore::new(permits)), waiting: AtomicUsize::new(0) };
        Self {
            read: lane(size - 2 * quarter - 1),
            write: lane(quarter),
            worker: lane(quarter),
            admin: lane(1),
        }
    }

    /// A permit of `class` before `by`, or `None`.
    pub(crate) async fn take(&self, class: Class, by: Instant) -> Option<OwnedSemaphorePermit> {
        let lane = match class {
            Class::Read => &self.read,
            Class::Write => &self.write,
            Class::Worker => &self.worker,
            Class::Admin => &self.admin,
        };
        if let Ok(permit) = Arc::clone(&lane.free).try_acquire_owned() {
            return Some(permit);
        }
        let waiting = Waiting::enter(&lane.waiting)?;
        let permit = timeout_at(by, Arc::clone(&lane.free).acquire_owned()).await;
        drop(waiting);
        Some(permit.ok()?.expect("the semaphore is never closed"))
    }
}

/// One place in the queue of a lane, given back on drop.
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
    use std::time::Duration;

    #[test]
    fn permits_sum_to_the_pool_size() {
        for size in [4, 5, 8, 10, 24, 50] {
            let permits = Permits::share(size);
            let sum: usize = [&permits.read, &permits.write, &permits.worker, &permits.admin]
                .map(|lane| {
                    assert!(lane.free.available_permits() > 0);
                    lane.free.available_permits()
                })
                .iter()
                .sum();
            assert_eq!(sum, size as usize);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_class_refuses_in_time_and_leaves_the_others_free() {
        let permits = Permits::share(4);
        let held = permits.take(Class::Write, Instant::now()).await.expect("one permit is free");
        let by = Instant::now() + Duration::from_millis(250);
        assert!(permits.take(Class::Write, by).await.is_none());
        assert_eq!(Instant::now(), by);
        assert!(permits.take(Class::Read, by).await.is_some());
        drop(held);
        assert!(permits.take(Class::Write, by).await.is_some());
    }
}
