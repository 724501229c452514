//! One question to the origin for all who ask the same at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::entry::Entry;
use crate::key::{BuildPassthrough, KeyHash};
use crate::lookup::CacheState;
use crate::position::Position;

/// The flights under way, by key.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    shards: [Mutex<Shard>; 16],
}

type Shard = HashMap<KeyHash, Flight, BuildPassthrough>;

#[derive(Clone, Debug)]
struct Flight {
    route: &'static str,
    key: Arc<str>,
    owner: u64,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Landed(Landing),
    /// Its leader failed; the error belongs to the leader's own request.
    Failed,
}

/// What a flight brought.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    pub(crate) entry: Arc<Entry>,
    pub(crate) state: CacheState,
    /// Every purge up to here was honoured: for an origin's answer its stamp, for a stored one what had been
    /// applied when it was judged.
    pub(crate) as_of: Position,
}

/// The part of a request in a flight.
#[derive(Debug)]
pub(crate) enum Boarding {
    /// Nobody is asking: this request leads.
    Lead(Lead),
    /// Somebody is.
    Follow(Following),
    /// Somebody asks another question with the same hash.
    Taken,
}

impl Flights {
    pub(crate) fn board(
        self: &Arc<Self>,
        hash: KeyHash,
        route: &'static str,
        key: &str,
        owner: u64,
    ) -> Boarding {
        let mut shard = self.shard(hash);
        if let Some(flight) = shard.get(&hash) {
            return if flight.owner == owner && flight.route == route && *flight.key == *key {
                Boarding::Follow(Following { outcome: flight.outcome.clone() })
            } else {
                Boarding::Taken
            };
        }
        let (sender, outcome) = watch::channel(None);
        shard.insert(hash, Flight { route, key: key.into(), owner, outcome });
        Boarding::Lead(Lead { flights: Arc::clone(self), hash, outcome: sender })
    }

    fn shard(&self, hash: KeyHash) -> MutexGuard<'_, Shard> {
        let index = hash.shard(self.shards.len());
        // Nothing panics while it is held.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to end a flight. Dropped without [`Self::land`] (an error, a panic, a deadline), the flight has
/// failed and the next who asks leads.
#[derive(Debug)]
pub(crate) struct Lead {
    flights: Arc<Flights>,
    hash: KeyHash,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Lead {
    /// Ends the flight. Whatever is to be found in the first tier must be there already: from here on a new
    /// request looks there and not here.
    pub(crate) fn land(self, landing: Landing) {
        self.leave(Outcome::Landed(landing));
    }

    fn leave(&self, outcome: Outcome) {
        self.flights.shard(self.hash).remove(&self.hash);
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let landed = self.outcome.borrow().is_some();
        if !landed {
            self.leave(Outcome::Failed);
        }
    }
}

/// A request that waits for another one's flight.
#[derive(Debug)]
pub(crate) struct Following {
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Following {
    /// `None` when the flight has not ended by then.
    pub(crate) async fn outcome_by(mut self, deadline: Instant) -> Option<Outcome> {
        let ended = tokio::time::timeout_at(deadline, self.outcome.wait_for(Option::is_some)).await.ok()?;
        // A sender that is gone without a word cannot happen: the lead's drop speaks.
        Some(ended.ok().and_then(|outcome| outcome.clone()).unwrap_or(Outcome::Failed))
    }
}
