//! A cached answer: the origin's bytes, what they depend on, and how old the knowledge in them is.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::clock::Moment;
use crate::position::Position;
use crate::tag::{Tag, TagSet};

/// An answer of the origin. Immutable, shared by reference count.
#[derive(Debug)]
pub struct Entry {
    pub(crate) route: Box<str>,
    pub(crate) key: Box<str>,
    /// Whose answer it is; 0 when everybody gets it.
    pub(crate) owner: u64,
    pub(crate) status: u16,
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
    pub(crate) tags: TagSet,
    /// Every purge up to here was visible to the origin before it was asked.
    pub(crate) stamp: Position,
    pub(crate) times: Times,
    /// The coherence version at which this entry was last found clean.
    pub(crate) validated: Validated,
}

/// When an entry was born and how long it may live. Purges end it earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// When the origin was asked.
    pub(crate) created: Moment,
    pub(crate) fresh_until: Moment,
    pub(crate) stale_until: Moment,
}

/// Whether an entry still has time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    Fresh,
    Stale,
    Over,
}

impl Times {
    #[inline]
    pub(crate) fn at(&self, now: Moment) -> Lifetime {
        if now < self.fresh_until {
            Lifetime::Fresh
        } else if now < self.stale_until {
            Lifetime::Stale
        } else {
            Lifetime::Over
        }
    }
}

/// Remembers the last clean verdict, so that the usual hit compares one integer instead of every tag.
#[derive(Debug, Default)]
pub(crate) struct Validated(AtomicU64);

impl Validated {
    #[inline]
    pub(crate) fn is_at(&self, version: u64) -> bool {
        self.0.load(Ordering::Relaxed) == version
    }

    #[inline]
    pub(crate) fn set(&self, version: u64) {
        self.0.store(version, Ordering::Relaxed);
    }
}

impl Entry {
    /// The HTTP status, or whatever the caller put there.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The caller's own bytes beside the body (headers); the cache does not look inside.
    pub fn head(&self) -> &Bytes {
        &self.head
    }

    /// The body as the origin gave it. Cloning is a reference count.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// What the answer depends on, without duplicates.
    pub fn tags(&self) -> &[Tag] {
        self.tags.as_slice()
    }

    /// Every purge up to this position was visible to the origin before it was asked.
    pub fn stamp(&self) -> Position {
        self.stamp
    }

    /// The question in full: neither a collision of hashes nor a copy under another name may serve one
    /// question's answer to another, or one person's to another.
    #[inline]
    pub(crate) fn answers(&self, route: &str, key: &str, owner: u64) -> bool {
        self.owner == owner && *self.key == *key && *self.route == *route
    }

    /// What this entry costs in memory, in bytes.
    pub(crate) fn weight(&self) -> u64 {
        // The entry itself, its reference counts and the store's slot.
        const OVERHEAD: usize = size_of::<Entry>() + 16 + 48;
        let boxed_tags = match &self.tags {
            TagSet::Inline { .. } => 0,
            TagSet::Boxed(tags) => size_of_val::<[Tag]>(tags),
        };
        let bytes = self.head.len() + self.body.len() + self.key.len() + self.route.len();
        (OVERHEAD + boxed_tags + bytes) as u64
    }
}
