//! Slots in Redis, so that a restart knows the last hour and replicas know each other's slots.
//!
//! | Key | Type | Content | Expires |
//! |---|---|---|---|
//! | `pm:1:s:<slot>` | hash | source id → version (8 bytes, big-endian) and packed `SlotState` | one hour and two minutes after the slot began |
//! | `pm:1:d:<source>` | hash | `hello` → the source's name, number → packed `SeriesDef` | two hours after the last write |
//! | `pm:1:touched` | sorted set | slots by the time of their last write, in ms of Redis' clock | two hours after the last write |
//! | `pm:1:generation` | string | random; when it changes, Redis has lost what it had | never |

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use prost::Message;
use proto::metrics::v1::{Hello, SeriesDef};
use redis::{AsyncConnectionConfig, Client, Pipeline, aio::MultiplexedConnection};

use crate::domain::{SourceId, Unsaved};

/// What a slot outlives the hour by, so that the last reader still finds it.
const GRACE_S: u32 = 120;

const HOUR_S: u32 = 3_600;

const DICTIONARY_TTL_S: u32 = 7_200;

/// Time for one round trip, and for a connection.
const DEADLINE: Duration = Duration::from_secs(1);

/// A reader looks this far back before its last reading, for writes that were on their way.
const OVERLAP_MS: u64 = 2_000;

const TOUCHED: &str = "pm:1:touched";
const GENERATION: &str = "pm:1:generation";
const HELLO: &str = "hello";

/// Writes one state unless a newer one is there. Versions are compared byte by byte: Lua compares strings by locale.
///
/// `KEYS` slot, touched; `ARGV` source, value, expiry of the slot, slot, expiry of the list of touched slots.
const WRITE_IF_NEWER: &str = r"
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and #held >= 8 then
  for i = 1, 8 do
    local there, here = string.byte(held, i), string.byte(ARGV[2], i)
    if there > here then return 0 end
    if there < here then break end
    if i == 8 then return 0 end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIREAT', KEYS[1], ARGV[3])
local now = redis.call('TIME')
redis.call('ZADD', KEYS[2], string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)), ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
";

/// The connection to Redis: made when needed, dropped after any error.
#[derive(Debug)]
pub(crate) struct Store {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

/// Redis is away or answers nonsense. Nothing here is ever worth failing a request for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("asking Redis")]
    Redis(#[from] redis::RedisError),
    #[error("Redis did not answer within {} ms", DEADLINE.as_millis())]
    Late,
    #[error(transparent)]
    Injected(#[from] failpoints::Injected),
}

/// What has been written since a moment.
#[derive(Debug)]
pub(crate) struct Touched {
    /// Redis' clock, for the next question.
    pub(crate) now_ms: u64,
    pub(crate) generation: Vec<u8>,
    /// Newest first.
    pub(crate) slots: Vec<u32>,
}

/// A stored state.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) slot_start_s: u32,
    pub(crate) source: SourceId,
    pub(crate) version: u64,
    pub(crate) encoded: Bytes,
}

impl Store {
    /// Does not connect yet.
    pub(crate) fn new(url: &str) -> Result<Store, redis::RedisError> {
        Ok(Store { client: Client::open(url)?, connection: None })
    }

    /// Writes states, and the dictionaries that come with them first. Writing a state twice changes nothing.
    pub(crate) async fn write(&mut self, states: &[Unsaved]) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        for state in states {
            let dictionary = dictionary_key(state.source);
            if let Some(definitions) = &state.definitions {
                let hello = definitions.hello();
                let write = pipeline.cmd("HSET").arg(&dictionary);
                for definition in &hello.series {
                    write.arg(definition.id).arg(definition.encode_to_vec());
                }
                let name = Hello { series: Vec::new(), ..hello };
                write.arg(HELLO).arg(name.encode_to_vec()).ignore();
            }
            pipeline.cmd("EXPIRE").arg(&dictionary).arg(DICTIONARY_TTL_S).ignore();
            let mut value = Vec::with_capacity(8 + state.encoded.len());
            value.extend_from_slice(&state.version.to_be_bytes());
            value.extend_from_slice(&state.encoded);
            pipeline
                .cmd("EVAL")
                .arg(WRITE_IF_NEWER)
                .arg(2)
                .arg(slot_key(state.slot_start_s))
                .arg(TOUCHED)
                .arg(&state.source.0)
                .arg(value)
                .arg(state.slot_start_s + HOUR_S + GRACE_S)
                .arg(state.slot_start_s)
                .arg(DICTIONARY_TTL_S)
                .ignore();
        }
        self.run::<()>(&pipeline).await
    }

    /// Slots written since `since_ms` of Redis' clock; 0 for all.
    pub(crate) async fn touched(&mut self, since_ms: u64) -> Result<Touched, StoreError> {
        let mine: [u8; 16] = std::array::from_fn(|_| fastrand::u8(..));
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("SET")
            .arg(GENERATION)
            .arg(&mine)
            .arg("NX")
            .ignore()
            .cmd("GET")
            .arg(GENERATION)
            .cmd("TIME")
            .cmd("ZRANGEBYSCORE")
            .arg(TOUCHED)
            .arg(since_ms.saturating_sub(OVERLAP_MS))
            .arg("+inf");
        let (generation, (seconds, micros), mut slots): (Vec<u8>, (u64, u64), Vec<u32>) =
            self.run(&pipeline).await?;
        let now_ms = seconds * 1_000 + micros / 1_000;
        let forgotten_ms = now_ms.saturating_sub(u64::from(HOUR_S + GRACE_S) * 1_000);
        let mut trim = redis::pipe();
        trim.cmd("ZREMRANGEBYSCORE").arg(TOUCHED).arg("-inf").arg(forgotten_ms).ignore();
        self.run::<()>(&trim).await?;
        slots.sort_unstable_by_key(|&slot| std::cmp::Reverse(slot));
        Ok(Touched { now_ms, generation, slots })
    }

    /// The states of these slots.
    pub(crate) async fn states(&mut self, slots: &[u32]) -> Result<Vec<Stored>, StoreError> {
        let mut pipeline = redis::pipe();
        for &slot in slots {
            pipeline.cmd("HGETALL").arg(slot_key(slot));
        }
        let found: Vec<HashMap<Vec<u8>, Vec<u8>>> = self.run(&pipeline).await?;
        let mut states = Vec::new();
        for (&slot_start_s, by_source) in slots.iter().zip(found) {
            for (source, value) in by_source {
                let Some(source) = SourceId::parse(&source) else { continue };
                let Some((version, _)) = value.split_first_chunk::<8>() else { continue };
                let version = u64::from_be_bytes(*version);
                states.push(Stored { slot_start_s, source, version, encoded: Bytes::from(value).slice(8..) });
            }
        }
        Ok(states)
    }

    /// What these sources have said of themselves, as far as it is there.
    pub(crate) async fn definitions(&mut self, sources: &[SourceId]) -> Result<Vec<Hello>, StoreError> {
        let mut pipeline = redis::pipe();
        for &source in sources {
            pipeline.cmd("HGETALL").arg(dictionary_key(source));
        }
        let found: Vec<HashMap<Vec<u8>, Vec<u8>>> = self.run(&pipeline).await?;
        let hello = |mut fields: HashMap<Vec<u8>, Vec<u8>>| {
            let mut hello = Hello::decode(fields.remove(HELLO.as_bytes())?.as_slice()).ok()?;
            hello.series =
                fields.values().filter_map(|field| SeriesDef::decode(field.as_slice()).ok()).collect();
            Some(hello)
        };
        Ok(found.into_iter().filter_map(hello).collect())
    }

    async fn run<T: redis::FromRedisValue>(&mut self, pipeline: &Pipeline) -> Result<T, StoreError> {
        // Taken out and put back only after success: the next attempt then starts with a new connection.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(DEADLINE))
                    .set_response_timeout(Some(DEADLINE));
                let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
                tokio::time::timeout(DEADLINE, connecting).await.map_err(|_elapsed| StoreError::Late)??
            }
        };
        let asking = pipeline.query_async::<T>(&mut connection);
        let answer = tokio::time::timeout(DEADLINE, asking).await.map_err(|_elapsed| StoreError::Late)??;
        self.connection = Some(connection);
        Ok(answer)
    }
}

fn slot_key(slot_start_s: u32) -> String {
    format!("pm:1:s:{slot_start_s}")
}

fn dictionary_key(source: SourceId) -> String {
    format!("pm:1:d:{source}")
}

#[cfg(test)]
mod tests {
    use proto::metrics::v1::SlotState;

    use super::*;
    use crate::domain::Definitions;

    fn unsaved(slot_start_s: u32, version: u64) -> Unsaved {
        let series = vec![SeriesDef { id: 5, route: "/a".to_owned(), ..SeriesDef::default() }];
        let hello = Hello {
            boot_id: vec![7; 16],
            service: "gateway".to_owned(),
            instance: "one".to_owned(),
            layout: 1,
            series,
            ..Hello::default()
        };
        let state = SlotState { slot_start_s, version, ..SlotState::default() };
        let definitions = Definitions::parse(hello).unwrap();
        Unsaved {
            slot_start_s,
            source: definitions.id,
            version,
            encoded: state.encode_to_vec().into(),
            definitions: Some(definitions),
        }
    }

    async fn version_of(store: &mut Store, slot_start_s: u32) -> u64 {
        let states = store.states(&[slot_start_s]).await.unwrap();
        assert_eq!(states.len(), 1);
        let state = SlotState::decode(states[0].encoded.clone()).unwrap();
        assert_eq!((state.version, state.slot_start_s), (states[0].version, slot_start_s));
        state.version
    }

    #[tokio::test]
    async fn an_older_version_never_replaces_a_newer_one() {
        let redis = testkit::Redis::start().await;
        let mut store = Store::new(&redis.url()).unwrap();
        let slot_s = slot_now_s();
        // Bytes of the versions cross their signs and lengths.
        for (written, expected) in [
            (5, 5),
            (3, 5),
            (5, 5),
            (127, 127),
            (128, 128),
            (127, 128),
            (255, 255),
            (256, 256),
            (255, 256),
            (1 << 40, 1 << 40),
            (300, 1 << 40),
        ] {
            store.write(&[unsaved(slot_s, written)]).await.unwrap();
            assert_eq!(version_of(&mut store, slot_s).await, expected, "after writing {written}");
        }
    }

    #[tokio::test]
    async fn what_is_written_is_found_and_expires() {
        let redis = testkit::Redis::start().await;
        let mut store = Store::new(&redis.url()).unwrap();
        let (slot_s, before_s) = (slot_now_s(), slot_now_s() - 10);
        let nothing = store.touched(0).await.unwrap();
        assert_eq!(nothing.slots, [0_u32; 0]);

        let states = [unsaved(before_s, 1), unsaved(slot_s, 2)];
        store.write(&states).await.unwrap();
        let touched = store.touched(0).await.unwrap();
        assert_eq!(touched.slots, [slot_s, before_s], "newest first");
        assert_eq!(touched.generation, nothing.generation);
        assert_eq!(store.touched(touched.now_ms + 10 * OVERLAP_MS).await.unwrap().slots, [0_u32; 0]);
        let hello = store.definitions(&[states[0].source, SourceId([0; 16])]).await.unwrap();
        assert_eq!(hello.len(), 1, "an unknown source is left out");
        assert_eq!(Some(&Definitions::parse(hello[0].clone()).unwrap()), states[0].definitions.as_ref());

        let mut ask = redis::pipe();
        ask.cmd("TTL").arg(slot_key(slot_s)).cmd("TTL").arg(dictionary_key(states[0].source));
        let (slot_ttl_s, dictionary_ttl_s): (i64, i64) = store.run(&ask).await.unwrap();
        assert!((3_650..=3_720).contains(&slot_ttl_s), "{slot_ttl_s} s");
        assert!((7_100..=7_200).contains(&dictionary_ttl_s), "{dictionary_ttl_s} s");
    }

    #[tokio::test]
    async fn comes_back_after_a_restart_with_another_generation() {
        let redis = testkit::Redis::start().await;
        let mut store = Store::new(&redis.url()).unwrap();
        let before = store.touched(0).await.unwrap().generation;
        redis.kill().await;
        store.touched(0).await.unwrap_err();
        redis.restart().await;
        assert_ne!(store.touched(0).await.unwrap().generation, before);
    }

    fn slot_now_s() -> u32 {
        crate::domain::slot_of(crate::clock::now_s())
    }
}
