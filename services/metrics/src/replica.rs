//! Keeps the aggregator and Redis equal: writes what sources have sent, reads what other replicas have written.
//!
//! The same reading restores the last hour after a restart. While Redis is away nothing is lost: what is not written
//! stays marked, and everything is written again when Redis comes back empty.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    domain::{Definitions, Origin, Parsed, SLOTS, SourceId, oldest_slot},
    state::State,
    store::{Store, StoreError},
};

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(1);

/// States written in one round trip: about 8 KB each.
const WRITE_BATCH: usize = 64;

/// Slots read in one round trip.
const READ_BATCH: usize = 16;

/// Time for the last writes when the process stops.
const STOP_DEADLINE: Duration = Duration::from_millis(500);

/// What others may ask of the replica.
#[derive(Debug)]
pub(crate) struct Saving {
    wake: Notify,
    /// Counts finished rounds.
    rounds: watch::Sender<u64>,
    reachable: AtomicBool,
}

impl Saving {
    pub(crate) fn new() -> Saving {
        Saving { wake: Notify::new(), rounds: watch::Sender::new(0), reachable: AtomicBool::new(false) }
    }

    /// Starts a round now.
    pub(crate) fn hurry(&self) {
        self.wake.notify_one();
    }

    /// Follows the rounds.
    pub(crate) fn rounds(&self) -> watch::Receiver<u64> {
        self.rounds.subscribe()
    }

    /// Whether the last round reached Redis.
    pub(crate) fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }
}

/// The task that keeps both equal.
#[derive(Debug)]
pub(crate) struct Replica {
    state: Arc<State>,
    store: Store,
    read_until_ms: u64,
    generation: Option<Vec<u8>>,
}

impl Replica {
    pub(crate) fn new(state: Arc<State>, store: Store) -> Replica {
        Replica { state, store, read_until_ms: 0, generation: None }
    }

    /// Runs until `stop`, and then writes what is left.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.round().await;
            tokio::select! {
                () = sleep(ROUND) => {}
                () = self.state.saving.wake.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        let last = tokio::time::timeout(STOP_DEADLINE, self.write()).await;
        if !matches!(last, Ok(Ok(()))) {
            tracing::warn!("the last timings are not in Redis; their sources keep them");
        }
    }

    async fn round(&mut self) {
        let result = self.exchange().await;
        let was_reachable = self.state.saving.reachable.swap(result.is_ok(), Ordering::Relaxed);
        match result {
            Ok(()) if !was_reachable => tracing::info!("timings are stored in Redis"),
            Err(error) if was_reachable => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "Redis is away; keeping timings in memory"
                );
            }
            Ok(()) | Err(_) => {}
        }
        self.state.saving.rounds.send_modify(|rounds| *rounds += 1);
    }

    async fn exchange(&mut self) -> Result<(), StoreError> {
        let touched = self.store.touched(self.read_until_ms).await?;
        let is_another = self.generation.as_ref().is_some_and(|known| *known != touched.generation);
        if is_another {
            tracing::warn!("Redis has lost its timings; writing the last hour again");
            self.state.aggregator().nothing_is_saved();
        }
        self.generation = Some(touched.generation);
        // Written before read: what a source has just sent is then no longer news.
        self.write().await?;
        let oldest_s = oldest_slot(clock::now_s(), SLOTS);
        let kept: Vec<u32> = touched.slots.into_iter().filter(|&slot| slot >= oldest_s).collect();
        for slots in kept.chunks(READ_BATCH) {
            self.read(slots).await?;
        }
        self.read_until_ms = touched.now_ms;
        Ok(())
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        // Sources go on while this writes: what comes meanwhile is left to the next round.
        let batches = self.state.aggregator().counters().unsaved.div_ceil(WRITE_BATCH);
        for _ in 0..batches {
            let states = self.state.aggregator().unsaved(WRITE_BATCH);
            failpoints::hit("mx.before_flush").await?;
            self.store.write(&states).await?;
            failpoints::hit("mx.after_flush").await?;
            self.state.aggregator().saved(&states);
        }
        Ok(())
    }

    async fn read(&mut self, slots: &[u32]) -> Result<(), StoreError> {
        let mut stored = self.store.states(slots).await?;
        let unknown: Vec<SourceId> = {
            let aggregator = self.state.aggregator();
            stored.retain(|state| !aggregator.has(state.slot_start_s, state.source, state.version));
            stored.iter().map(|state| state.source).filter(|&source| !aggregator.knows(source)).collect()
        };
        // Definitions are read again for known sources too: they may have got new series at another replica.
        let mut sources: Vec<SourceId> = stored.iter().map(|state| state.source).chain(unknown).collect();
        sources.sort_unstable();
        sources.dedup();
        if sources.is_empty() {
            return Ok(());
        }
        for hello in self.store.definitions(&sources).await? {
            let defined = Definitions::parse(hello)
                .and_then(|all| self.state.aggregator().define_stored(all, clock::now_s()));
            if let Err(error) = defined {
                tracing::debug!(%error, "a stored source is left out");
            }
        }
        for state in stored {
            let accepted = Parsed::stored(&state.encoded).and_then(|parsed| {
                self.state.aggregator().accept(state.source, parsed, clock::now_s(), Origin::Store)
            });
            if let Err(error) = accepted {
                tracing::debug!(%error, source = %state.source, slot = state.slot_start_s, "a stored slot is left out");
            }
        }
        Ok(())
    }
}
