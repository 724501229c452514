//! From the moment before the origin is asked to an entry: the order is enforced by the types.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Moment;
use crate::coherence::Coherence;
use crate::position::Position;
use crate::tag::Tag;

/// Proof of what this gateway had applied *before* the origin was asked.
///
/// Only the cache makes one, right before it calls the fetch function, and an entry can be built only
/// from a [`Draft`], which takes a stamp. So no code path can read first and stamp later, which is the
/// race that makes caches keep old values after a purge.
#[derive(Debug)]
pub struct Stamp {
    pub(crate) position: Position,
    pub(crate) taken: Moment,
    coherence: Arc<Coherence>,
}

/// What the origin answered. The cache decides whether it is stored.
#[derive(Debug)]
pub struct Draft {
    pub(crate) status: u16,
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
    pub(crate) storage: Storage,
}

#[derive(Debug)]
pub(crate) enum Storage {
    Stored { stamp: Stamp, tags: Vec<Tag> },
    NotStored,
}

impl Stamp {
    pub(crate) fn take(coherence: &Arc<Coherence>, now: Moment) -> Self {
        Self { position: coherence.applied(), taken: now, coherence: Arc::clone(coherence) }
    }

    /// The position every later purge will exceed.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Lowers the stamp for a source that read a replica: `replayed_lsn` is what the replica had replayed
    /// *before* the query. `None` when this gateway cannot tell which purges that covers; such an answer
    /// must not be stored.
    ///
    /// All publishers must take their log positions from the same PostgreSQL cluster.
    pub fn as_of(self, replayed_lsn: u64) -> Option<Self> {
        let known = self.coherence.position_as_of(replayed_lsn)?;
        Some(Self { position: self.position.min(known), ..self })
    }

    /// An answer that may be stored: it depends on `tags` and on nothing else that changes.
    ///
    /// An answer whose content can change without a tag saying so must be [`Draft::not_stored`].
    pub fn draft(self, status: u16, head: Bytes, body: Bytes, tags: Vec<Tag>) -> Draft {
        Draft { status, head, body, storage: Storage::Stored { stamp: self, tags } }
    }
}

impl Draft {
    /// An answer for this request (and for those that wait for it), never stored: failures of the origin,
    /// answers without tags.
    pub fn not_stored(status: u16, head: Bytes, body: Bytes) -> Self {
        Self { status, head, body, storage: Storage::NotStored }
    }
}
