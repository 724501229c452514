//! The public keys of the token issuer, read from a JWKS file and read again when it changes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use arc_swap::{ArcSwap, Guard};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet};

/// The file's time stamp is looked at no more often than this.
const CHECK_EVERY_MS: u64 = 2_000;
/// A key set is small; anything larger is not one.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The file cannot be read.
    #[error("key set {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a JSON Web Key Set.
    #[error("key set {path} is not a JSON Web Key Set")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No key can verify a token.
    #[error("key set {path} has no Ed25519 key with a key id")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Development tokens would be accepted in production.
    #[error("issuer {issuer} is a development issuer and is refused in production")]
    DevelopmentIssuer {
        /// The configured issuer.
        issuer: String,
    },
}

/// The keys of one version of the file.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Counts the versions; what was verified under another one is verified again.
    pub(crate) generation: u64,
    by_id: HashMap<String, DecodingKey>,
    stamp: Stamp,
}

impl Keys {
    pub(crate) fn find(&self, key_id: &str) -> Option<&DecodingKey> {
        self.by_id.get(key_id)
    }
}

/// What tells two versions of the file apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
}

/// The current keys.
#[derive(Debug)]
pub(crate) struct KeySet {
    path: PathBuf,
    current: ArcSwap<Keys>,
    started: Instant,
    next_check_ms: AtomicU64,
}

impl KeySet {
    pub(crate) fn read(path: &Path) -> Result<Self, KeySetError> {
        let keys = keys(path, 0)?;
        Ok(Self {
            path: path.to_owned(),
            current: ArcSwap::from_pointee(keys),
            started: Instant::now(),
            next_check_ms: AtomicU64::new(CHECK_EVERY_MS),
        })
    }

    /// The keys of the file's newest readable version, at most two seconds behind.
    ///
    /// Looking at a time stamp on a local disk takes microseconds, so it may happen on the caller's thread.
    pub(crate) fn current(&self) -> Guard<Arc<Keys>> {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due_ms = self.next_check_ms.load(Ordering::Relaxed);
        let won = now_ms >= due_ms
            && self
                .next_check_ms
                .compare_exchange(due_ms, now_ms + CHECK_EVERY_MS, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if won {
            self.reload();
        }
        self.current.load()
    }

    /// Takes the new version if there is a good one; a broken one changes nothing.
    fn reload(&self) {
        let known = self.current.load();
        if stamp(&self.path).is_ok_and(|stamp| stamp == known.stamp) {
            return;
        }
        match keys(&self.path, known.generation + 1) {
            Ok(keys) => {
                tracing::info!(path = %self.path.display(), keys = keys.by_id.len(), "key set reloaded");
                self.current.store(Arc::new(keys));
            }
            Err(error) => tracing::warn!(%error, "key set not reloaded, the old keys stay"),
        }
    }
}

fn stamp(path: &Path) -> Result<Stamp, KeySetError> {
    let read = |source| KeySetError::Read { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(read)?;
    Ok(Stamp { modified: metadata.modified().ok(), len: metadata.len() })
}

fn keys(path: &Path, generation: u64) -> Result<Keys, KeySetError> {
    let read = |source| KeySetError::Read { path: path.to_owned(), source };
    let parse = |source| KeySetError::Parse { path: path.to_owned(), source };
    // The stamp is taken first: a change during the reading is then seen by the next check.
    let stamp = stamp(path)?;
    if stamp.len > FILE_BYTES_MAX {
        return Err(read(std::io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes"))));
    }
    let text = std::fs::read(path).map_err(read)?;
    let set: JwkSet = serde_json::from_slice(&text).map_err(|error| parse(error.into()))?;
    let mut by_id = HashMap::new();
    for jwk in &set.keys {
        let ed25519 = matches!(&jwk.algorithm, AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519);
        if let (true, Some(key_id)) = (ed25519, &jwk.common.key_id) {
            by_id.insert(key_id.clone(), DecodingKey::from_jwk(jwk).map_err(|error| parse(error.into()))?);
        }
    }
    if by_id.is_empty() {
        return Err(KeySetError::Empty { path: path.to_owned() });
    }
    Ok(Keys { generation, by_id, stamp })
}
