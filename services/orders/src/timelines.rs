//! Who watches which order, and who tells them.
//!
//! A change of this process wakes its watchers at once. Changes of other processes, and those that nobody told of, are
//! found by one question a second about all watched orders; none is asked while nobody watches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rls::{Caller, Class, Database};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::OrderId;
use crate::error::{Error, Exhausted};
use crate::handlers::Principal;
use crate::store::orders;

/// Streams that one process serves at a time.
const STREAMS_MAX: usize = 1_000;
/// Streams of one buyer at a time, of whatever orders: nobody takes the places of all.
const STREAMS_PER_BUYER_MAX: usize = 10;
const POLL: Duration = Duration::from_secs(1);
const POLL_DEADLINE: Duration = Duration::from_secs(2);

/// Every watched order of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Timelines {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    free: Arc<Semaphore>,
    watched: Mutex<HashMap<OrderId, Watched>>,
    /// How many streams each buyer has, of those who have any.
    buyers: Mutex<HashMap<Principal, usize>>,
    /// Ends every stream.
    draining: CancellationToken,
    streams: TaskTracker,
}

#[derive(Debug)]
struct Watched {
    watchers: usize,
    /// As far as was asked.
    last: i32,
    /// Counts up with every change.
    changes: watch::Sender<u64>,
}

/// A place from which one order is watched; given back on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    order: OrderId,
    buyer: Principal,
    changes: watch::Receiver<u64>,
    timelines: Timelines,
    _permit: OwnedSemaphorePermit,
}

impl Timelines {
    pub(crate) fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                free: Arc::new(Semaphore::new(STREAMS_MAX)),
                watched: Mutex::default(),
                buyers: Mutex::default(),
                draining: CancellationToken::new(),
                streams: TaskTracker::new(),
            }),
        }
    }

    /// Takes a place for `buyer` to watch `order` from: changes from here on are not missed.
    pub(crate) fn join(&self, order: OrderId, buyer: Principal) -> Result<Seat, Error> {
        let full = Error::Exhausted(Exhausted::Streams);
        let Ok(permit) = Arc::clone(&self.inner.free).try_acquire_owned() else { return Err(full) };
        let mut buyers = self.buyers();
        let streams = buyers.entry(buyer).or_default();
        if *streams >= STREAMS_PER_BUYER_MAX {
            return Err(full);
        }
        *streams += 1;
        drop(buyers);
        let mut orders = self.watched();
        let watched = orders.entry(order).or_insert_with(|| Watched {
            watchers: 0,
            last: 0,
            changes: watch::Sender::new(0),
        });
        watched.watchers += 1;
        let changes = watched.changes.subscribe();
        drop(orders);
        Ok(Seat { order, buyer, changes, timelines: self.clone(), _permit: permit })
    }

    /// Says that something was committed about `order`.
    pub(crate) fn changed(&self, order: OrderId) {
        if let Some(watched) = self.watched().get(&order) {
            watched.changes.send_modify(|count| *count += 1);
        }
    }

    /// Where streams run.
    pub(crate) fn streams(&self) -> &TaskTracker {
        &self.inner.streams
    }

    /// Looks for changes of other processes until `stop`; then every stream ends.
    pub(crate) async fn run(self, db: Database, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(POLL) => {}
            }
            let ids: Vec<i64> = self.watched().keys().map(|id| id.get()).collect();
            if ids.is_empty() {
                continue;
            }
            let last = db.run(&Caller::Service, Class::Read, POLL_DEADLINE, move |tx| {
                Box::pin(async move { Ok::<_, Error>(orders::last_entries(tx, &ids).await?) })
            });
            match last.await {
                Ok(committed) => self.heard(committed.value),
                Err(error) => tracing::warn!(%error, "watched orders could not be looked at"),
            }
        }
        self.inner.draining.cancel();
        self.inner.streams.close();
        self.inner.streams.wait().await;
    }

    fn heard(&self, last: Vec<(i64, i32)>) {
        let mut orders = self.watched();
        for (id, seq) in last {
            let Some(watched) = orders.get_mut(&OrderId::known(id)) else { continue };
            if seq > watched.last {
                watched.last = seq;
                watched.changes.send_modify(|count| *count += 1);
            }
        }
    }

    /// As whole as [`Self::watched`].
    fn buyers(&self) -> MutexGuard<'_, HashMap<Principal, usize>> {
        self.inner.buyers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A map that was only ever added to or removed from is whole, whoever panicked beside it.
    fn watched(&self) -> MutexGuard<'_, HashMap<OrderId, Watched>> {
        self.inner.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Waits for the next change. `false` when the process drains.
    pub(crate) async fn changed(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.timelines.inner.draining.cancelled() => false,
            // The sender is in the map as long as this seat is.
            changed = self.changes.changed() => changed.is_ok(),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut orders = self.timelines.watched();
        if let Some(watched) = orders.get_mut(&self.order) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                orders.remove(&self.order);
            }
        }
        drop(orders);
        let mut buyers = self.timelines.buyers();
        if let Some(streams) = buyers.get_mut(&self.buyer) {
            *streams -= 1;
            if *streams == 0 {
                buyers.remove(&self.buyer);
            }
        }
    }
}
