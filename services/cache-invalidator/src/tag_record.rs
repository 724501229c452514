//! The last purge of each tag in Redis, which gateways ask while they hear no heartbeat.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tag_cache::{Position, Tag, tag_versions};

/// As long as an entry of the cache can live: one hour fresh, one hour stale.
const LIFETIME_MS: u64 = 2 * 3_600 * 1_000;
const RESPONSE_DEADLINE: Duration = Duration::from_millis(250);
const CONNECT_DEADLINE: Duration = Duration::from_millis(500);

/// Raises a key to a position, never lowers it: messages are handled side by side, and again. Positions
/// are compared as decimal text, because Lua's numbers hold 53 bits.
const RAISE: &str = "local v = redis.call('GET', KEYS[1])
if (not v) or #v < #ARGV[1] or (#v == #ARGV[1] and v < ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end";

/// Writes the record; Redis being away costs its readers a refetch, nothing else.
pub(crate) struct TagRecord {
    redis: ConnectionManager,
    /// From this position on no write has failed. `None` until the first one is set.
    complete_since: Mutex<Option<Position>>,
    reachable: AtomicBool,
}

impl std::fmt::Debug for TagRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TagRecord").field("complete_since", &self.complete_since).finish_non_exhaustive()
    }
}

impl TagRecord {
    /// A record that is complete from nowhere yet. Does not connect. Must be called inside a runtime.
    pub(crate) fn new(redis_url: &str) -> redis::RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_DEADLINE))
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_number_of_retries(0);
        let redis = ConnectionManager::new_lazy_with_config(redis::Client::open(redis_url)?, config)?;
        Ok(Self { redis, complete_since: Mutex::new(None), reachable: AtomicBool::new(true) })
    }

    /// Whether no write has failed since the last one that succeeded.
    pub(crate) fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }

    /// Purges before `position` were written by somebody else, or not at all.
    pub(crate) fn complete_from(&self, position: Position) {
        let mut complete_since = self.complete_since.lock().expect("nobody panics while holding it");
        *complete_since = (*complete_since).max(Some(position));
    }

    /// Notes that `tags` were purged at `position`.
    pub(crate) async fn write(&self, tags: &[Tag], position: Position) {
        let mut raise = redis::pipe();
        for tag in tags {
            raise
                .cmd("EVAL")
                .arg(RAISE)
                .arg(1)
                .arg(tag_versions::key(*tag))
                .arg(tag_versions::encode(position))
                .arg(LIFETIME_MS)
                .ignore();
        }
        let raised = raise.query_async::<()>(&mut self.redis.clone()).await;
        self.reachable.store(raised.is_ok(), Ordering::Relaxed);
        if let Err(error) = raised {
            tracing::debug!(%error, "purge not recorded in Redis");
            self.complete_from(position);
        }
    }

    /// Says for the next two seconds that the record is being kept.
    pub(crate) async fn alive(&self) {
        let complete_since = *self.complete_since.lock().expect("nobody panics while holding it");
        let Some(complete_since) = complete_since else { return };
        let set = redis::cmd("SET")
            .arg(tag_versions::ALIVE)
            .arg(tag_versions::encode(complete_since))
            .arg("PX")
            .arg(tag_versions::ALIVE_MS)
            .query_async::<()>(&mut self.redis.clone())
            .await;
        self.reachable.store(set.is_ok(), Ordering::Relaxed);
        if let Err(error) = set {
            tracing::debug!(%error, "record not renewed in Redis");
        }
    }
}
