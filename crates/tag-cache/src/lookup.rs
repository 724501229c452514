//! What a caller asks the cache, and what it gets back.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::entry::Entry;
use crate::token::Token;

/// How much staleness a route tolerates when the purge pipeline is late or silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Served only while the pipeline is known to be live; never beyond its fresh time.
    Strict,
    /// Served with a bound: at most 60 s beyond its fresh time, at most 10 s without a live pipeline.
    Bounded,
    /// Served up to one hour beyond its fresh time, whatever the pipeline does.
    Relaxed,
}

impl Class {
    /// How long past its fresh time an entry may be served while one refresh runs.
    pub const fn stale_window(self) -> Duration {
        match self {
            Self::Strict => Duration::ZERO,
            Self::Bounded => Duration::from_secs(60),
            Self::Relaxed => Duration::from_secs(3_600),
        }
    }
}

/// One question to the cache. Build it on the stack; it borrows everything.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// The route's name; part of the key and of the name in the shared store. Letters, digits, `.`, `_`,
    /// `-` and `/`.
    pub route: &'static str,
    /// The canonical key: everything the answer depends on besides the route. It is compared in full, so
    /// a collision of hashes is a miss.
    pub key: &'a str,
    /// Whose answer this is: part of the name in the shared store, kept in the entry and compared, so that
    /// no one is ever served an answer made for somebody else. 0 is everybody.
    pub owner: u64,
    /// The route's tolerance.
    pub class: Class,
    /// How long a new answer counts as fresh when nothing purges it.
    pub fresh: Duration,
    /// What this client has already seen: nothing older is served to it.
    pub token: Option<&'a Token>,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// This process's memory.
    HitL1,
    /// The shared store.
    HitL2,
    /// Past its fresh time, inside the class's window; one refresh is running, or the origin failed.
    Stale,
    /// The origin, asked by this request.
    Miss,
    /// The origin, asked by another request that was under way.
    Coalesced,
    /// The origin, because the cache could not vouch for what it holds.
    Bypass,
    /// No answer. The cache itself never reports it; it names failed requests in counters.
    Error,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Served {
    /// Status, head, body and tags.
    pub entry: Arc<Entry>,
    /// Where it came from.
    pub state: CacheState,
    /// How long ago the origin was asked.
    pub age: Duration,
    /// How long it stays fresh if nothing purges it; zero for stale and unstored answers.
    pub fresh_left: Duration,
}

impl Served {
    pub(crate) fn new(entry: Arc<Entry>, state: CacheState, now: Moment) -> Self {
        let age = now.since(entry.times.created);
        let fresh_left = entry.times.fresh_until.since(now);
        Self { entry, state, age, fresh_left }
    }
}
