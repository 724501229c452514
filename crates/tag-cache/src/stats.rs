//! Counters of one cache. Relaxed atomics: each is right, together they are a moment's blur.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::lookup::CacheState;

/// A counter that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something there are now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

/// One of them, until dropped.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a Gauge);

impl Gauge {
    pub(crate) fn one_more(&self) -> Counted<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self)
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) followers_waiting: Gauge,
    pub(crate) hits_l1: Counter,
    pub(crate) hits_l2: Counter,
    pub(crate) stale: Counter,
    pub(crate) misses: Counter,
    pub(crate) coalesced: Counter,
    pub(crate) bypassed: Counter,
    /// Followers that were refused a flight's result by the follower rule.
    pub(crate) refused_followers: Counter,
    pub(crate) fills_failed: Counter,
    pub(crate) origin_refused: Counter,
    pub(crate) purges_published: Counter,
    pub(crate) purges_unpublished: Counter,
    pub(crate) purges_applied: Counter,
    pub(crate) log_gaps: Counter,
    pub(crate) log_unreadable: Counter,
    pub(crate) log_breaks: Counter,
    pub(crate) log_sessions: Counter,
    pub(crate) l2_errors: Counter,
    pub(crate) l2_skipped: Counter,
    pub(crate) l2_undecodable: Counter,
    pub(crate) tokens_refused: Counter,
}

impl Counters {
    pub(crate) fn served(&self, state: CacheState) {
        match state {
            CacheState::HitL1 => self.hits_l1.add(),
            CacheState::HitL2 => self.hits_l2.add(),
            CacheState::Stale => self.stale.add(),
            CacheState::Miss => self.misses.add(),
            CacheState::Coalesced => self.coalesced.add(),
            CacheState::Bypass => self.bypassed.add(),
            CacheState::Error => {}
        }
    }
}
