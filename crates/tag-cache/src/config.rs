//! What a cache is told when it starts.

use std::str::FromStr;
use std::time::Duration;

use crate::sketch::SlotsPerRow;

/// Settings of one [`crate::Cache`]. Start from [`CacheConfig::new`] and change what differs.
#[derive(Clone)]
pub struct CacheConfig {
    /// Separates the entries of different applications and formats of their heads in one Redis.
    pub namespace: String,
    /// Whether anything is stored or served at all.
    pub enabled: Enabled,
    /// The bound of the first tier.
    pub l1_bytes_max: u64,
    /// The second tier; without one, the first works alone.
    pub redis_url: Option<String>,
    /// Signs tokens and spreads keys. The same in every gateway, unknown to everybody else.
    pub token_key: [u8; 32],
    /// The size of the purge sketch.
    pub sketch_slots: SlotsPerRow,
    /// A larger answer is not stored in either tier.
    pub entry_bytes_max: usize,
    /// How long Redis may take for one answer. Beyond it the request goes on without.
    pub l2_deadline: Duration,
    /// How long a request with a token waits for the purge log before it goes to the origin.
    pub token_wait_max: Duration,
    /// How long a mutation waits for the purge log's acknowledgement.
    pub purge_deadline: Duration,
    /// How long a request waits for a flight of another one before it asks the origin itself.
    pub follower_wait_max: Duration,
    /// How long a flight may take, the origin included.
    pub fill_deadline: Duration,
    /// Origin calls at once on behalf of flights.
    pub shared_calls_max: usize,
    /// Origin calls at once for requests that the cache could not serve and must not share.
    pub lone_calls_max: usize,
    /// How long an origin call waits for its place under those caps.
    pub origin_wait_max: Duration,
}

impl CacheConfig {
    /// Usual settings: 256 MiB of memory, no Redis.
    pub fn new(namespace: impl Into<String>, token_key: [u8; 32]) -> Self {
        Self {
            namespace: namespace.into(),
            enabled: Enabled::Yes,
            l1_bytes_max: 256 << 20,
            redis_url: None,
            token_key,
            sketch_slots: SlotsPerRow::DEFAULT,
            entry_bytes_max: 1 << 20,
            l2_deadline: Duration::from_millis(50),
            token_wait_max: Duration::from_millis(30),
            purge_deadline: Duration::from_millis(250),
            follower_wait_max: Duration::from_secs(2),
            fill_deadline: Duration::from_secs(10),
            shared_calls_max: 256,
            lone_calls_max: 64,
            origin_wait_max: Duration::from_secs(1),
        }
    }
}

/// Neither the key nor a password inside the URL is printed.
impl std::fmt::Debug for CacheConfig {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("CacheConfig")
            .field("namespace", &self.namespace)
            .field("enabled", &self.enabled)
            .field("l1_bytes_max", &self.l1_bytes_max)
            .field("redis", &self.redis_url.is_some())
            .finish_non_exhaustive()
    }
}

/// `REDIS_CACHE_ENABLED`: `1` or `0`. Switched off, every lookup is a miss and nothing is stored, in memory
/// neither (S57, S60); purges and tokens still work, because other gateways may be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// Entries are stored and served.
    Yes,
    /// Every lookup is a miss.
    No,
}

/// Neither `1` nor `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 (on) or 0 (off)")]
pub struct NotASwitch;

impl FromStr for Enabled {
    type Err = NotASwitch;

    fn from_str(text: &str) -> Result<Self, NotASwitch> {
        match text {
            "1" | "true" => Ok(Self::Yes),
            "0" | "false" => Ok(Self::No),
            _ => Err(NotASwitch),
        }
    }
}
