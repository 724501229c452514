//! The first tier: this process's memory, bounded in bytes.

use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::entry::Entry;
use crate::key::{BuildPassthrough, KeyHash};

type Store = Cache<KeyHash, Arc<Entry>, ByBytes, BuildPassthrough>;

/// Entries by key hash. Holding a dead entry is harmless: every serve judges it again.
#[derive(Debug)]
pub(crate) struct L1 {
    store: Store,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<KeyHash, Arc<Entry>> for ByBytes {
    fn weight(&self, _: &KeyHash, entry: &Arc<Entry>) -> u64 {
        entry.weight()
    }
}

impl L1 {
    /// Sizes the store's tables; a wrong guess costs memory or resizing, nothing else.
    const TYPICAL_ENTRY_BYTES: u64 = 4_096;

    pub(crate) fn new(bytes_max: u64) -> Self {
        let items = (bytes_max / Self::TYPICAL_ENTRY_BYTES).clamp(64, 1 << 20);
        let options = OptionsBuilder::new()
            .weight_capacity(bytes_max)
            .estimated_items_capacity(items as usize)
            .build()
            .expect("both capacities are set");
        let hasher = BuildPassthrough::default();
        Self { store: Cache::with_options(options, ByBytes, hasher, DefaultLifecycle::default()) }
    }

    #[inline]
    pub(crate) fn get(&self, hash: KeyHash) -> Option<Arc<Entry>> {
        self.store.get(&hash)
    }

    /// Evicts others to stay within the bound; an entry that is too large for it is not kept.
    pub(crate) fn insert(&self, hash: KeyHash, entry: Arc<Entry>) {
        self.store.insert(hash, entry);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.store.weight()
    }

    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }
}
