//! The 128-bit hash under which an entry is found in both tiers.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// Hash of a route, a canonical key and an owner. Equal hashes of different questions are a miss: entries keep
/// all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash {
    high: u64,
    low: u64,
}

impl KeyHash {
    /// The same question asked under other rules: its flights are separate.
    pub(crate) const fn variant(self, variant: u64) -> Self {
        Self { high: self.high ^ variant, low: self.low }
    }

    pub(crate) const fn shard(self, shards: usize) -> usize {
        (self.high >> 32) as usize % shards
    }
}

impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// 32 hex digits, as in the shared store's names.
impl fmt::Display for KeyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}{:016x}", self.high, self.low)
    }
}

/// Hashes keys with secrets of this deployment, so that nobody outside can construct two questions that
/// throw each other out of the cache.
#[derive(Clone, Debug)]
pub(crate) struct KeyHasher {
    high: RapidSecrets,
    low: RapidSecrets,
}

impl KeyHasher {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        let mut seeds = [0; 16];
        blake3::Hasher::new_derive_key("tag-cache 2026-11 key hash")
            .update(secret)
            .finalize_xof()
            .fill(&mut seeds);
        let bits = u128::from_le_bytes(seeds);
        Self { high: RapidSecrets::seed((bits >> 64) as u64), low: RapidSecrets::seed(bits as u64) }
    }

    #[inline]
    pub(crate) fn hash(&self, route: &str, key: &str, owner: u64) -> KeyHash {
        let hash = |secrets: &RapidSecrets| {
            let route = rapidhash_v3_seeded(route.as_bytes(), secrets);
            let owner = match owner {
                0 => 0,
                owner => rapidhash_v3_seeded(&owner.to_le_bytes(), secrets),
            };
            rapidhash_v3_seeded(key.as_bytes(), secrets) ^ route.rotate_left(32) ^ owner.rotate_left(16)
        };
        KeyHash { high: hash(&self.high), low: hash(&self.low) }
    }
}

/// The keys are hashes already.
#[derive(Debug, Default)]
pub(crate) struct Passthrough(u64);

pub(crate) type BuildPassthrough = BuildHasherDefault<Passthrough>;

impl Hasher for Passthrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyHasher;

    #[test]
    fn route_key_owner_and_secret_all_count() {
        let hasher = KeyHasher::new(&[1; 32]);
        let hash = hasher.hash("products.list", "page=1", 0);
        assert_eq!(
            hash,
            KeyHasher::new(&[1; 32]).hash("products.list", "page=1", 0),
            "the same in every process"
        );
        assert_ne!(hash, hasher.hash("products.list", "page=2", 0));
        assert_ne!(hash, hasher.hash("products.new", "page=1", 0));
        assert_ne!(hash, KeyHasher::new(&[2; 32]).hash("products.list", "page=1", 0));
        assert_ne!(hash, hasher.hash("products.list", "page=1", 7));
        assert_ne!(hasher.hash("events", "5", 7), hasher.hash("events", "5", 8));
        assert_ne!(hash, hash.variant(1));
        assert_eq!(hash.to_string().len(), 32);
    }
}
