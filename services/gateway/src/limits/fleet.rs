//! What other gateways let through, by way of Redis, ten times a second and never while a request waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::RedisError;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Key, Limits, Principal};

/// How often used buckets are reported.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// While Redis does not answer.
const RETRY_EVERY: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_millis(500);
/// Silence after which each gateway falls back to its share.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// A gateway says that it is there although nobody asks it anything.
const PRESENCE_EVERY: Duration = Duration::from_secs(1);
/// Buckets of one report.
const REPORT_MAX: usize = 1_000;

/// The functions that Redis runs for us; needs Redis 7 or Valkey.
const LIBRARY: &str = include_str!("fleet.lua");
const CHARGE: &str = "mestres_limits_charge";

/// The part of the limits that the gateways share.
#[derive(Debug)]
pub(crate) struct Fleet {
    limits: Limits,
    connection: ConnectionManager,
    gateway: String,
    /// Hides addresses: a bucket's name is of no use without it.
    key: [u8; 32],
    /// What the operator says the fleet counts, until Redis knows better.
    replicas: u32,
}

/// Why a report did not arrive.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no answer within the deadline")]
    Late,
    #[error("an answer of another length than the question")]
    Garbled,
    #[error(transparent)]
    Redis(#[from] RedisError),
}

impl Fleet {
    /// Does not connect yet. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub(crate) fn new(
        limits: Limits,
        redis_url: &str,
        gateway: &str,
        key: &[u8; 32],
        replicas: u32,
    ) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(DEADLINE))
            .set_connection_timeout(Some(DEADLINE))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(redis::Client::open(redis_url)?, config)?;
        let key = blake3::derive_key("mestres gateway 2026-11-22 names of rate limit buckets", key);
        Ok(Self { limits, connection, gateway: gateway.to_owned(), key, replicas: replicas.max(1) })
    }

    /// Reports until `shutdown`. Says once when the fleet is lost, and once when it is back.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut heard = Instant::now();
        let mut gateways = self.replicas;
        let mut said = Duration::ZERO;
        let mut alone = self.limits.inner.shares.load(Ordering::Relaxed) > 1;
        loop {
            let used: Vec<Key> = {
                let mut used = self.limits.used();
                let keep = used.len().saturating_sub(REPORT_MAX);
                used.split_off(keep)
            };
            let mut pause = REPORT_EVERY;
            if !used.is_empty() || said >= PRESENCE_EVERY || alone {
                said = Duration::ZERO;
                match self.report(&used).await {
                    Ok(count) => {
                        heard = Instant::now();
                        gateways = count.max(1);
                        self.limits.inner.shares.store(1, Ordering::Relaxed);
                        if alone {
                            tracing::info!(gateways, "rate limits are counted together");
                        }
                        alone = false;
                    }
                    Err(error) => {
                        pause = RETRY_EVERY;
                        if !alone && heard.elapsed() >= SILENCE_MAX {
                            alone = true;
                            let shares = gateways.max(self.replicas);
                            self.limits.inner.shares.store(shares, Ordering::Relaxed);
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                shares,
                                "rate limits are counted by each gateway alone: each grants its share"
                            );
                        }
                    }
                }
            }
            said += pause;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Charges what was used here and raises our buckets to the fleet's; the number of gateways.
    async fn report(&mut self, used: &[Key]) -> Result<u32, Lost> {
        let answer = match self.charge(used).await {
            Err(Lost::Redis(error)) if is_unknown_function(&error) => {
                self.load().await?;
                self.charge(used).await
            }
            other => other,
        };
        let answer = match answer {
            Ok(answer) if answer.len() == used.len() + 1 => answer,
            Ok(_) => return Err(Lost::Garbled),
            Err(error) => return Err(error),
        };
        let now_us = self.limits.now_us();
        for (key, full_in_us) in used.iter().zip(&answer[1..]) {
            self.limits.bucket(*key).raise(now_us, *full_in_us);
        }
        Ok(u32::try_from(answer[0]).unwrap_or(u32::MAX))
    }

    async fn charge(&mut self, used: &[Key]) -> Result<Vec<u64>, Lost> {
        let mut command = redis::cmd("FCALL");
        command.arg(CHARGE).arg(used.len() + 1).arg("rl:gateways");
        for key in used {
            command.arg(self.name(key));
        }
        command.arg(&self.gateway);
        let mut noted = Vec::with_capacity(used.len());
        for key in used {
            let (limit, _) = *key;
            let bucket = self.limits.bucket(*key);
            let cost = bucket.forget_notes();
            command.arg(cost * limit.interval_us()).arg(limit.burst() * limit.interval_us());
            noted.push((bucket, cost));
        }
        let answer = tokio::time::timeout(DEADLINE, command.query_async(&mut self.connection)).await;
        let answer = answer.map_err(|_elapsed| Lost::Late).and_then(|answer| answer.map_err(Lost::from));
        if answer.is_err() {
            // Perhaps charged and perhaps not: told again, a principal may wait a little longer than it must.
            for ((bucket, cost), key) in noted.into_iter().zip(used) {
                if bucket.note(cost) == super::bucket::Noted::First {
                    let mut waiting = self.limits.used();
                    if waiting.len() < super::USED_MAX {
                        waiting.push(*key);
                    } else {
                        bucket.forget_notes();
                    }
                }
            }
        }
        answer
    }

    async fn load(&mut self) -> Result<(), Lost> {
        let mut command = redis::cmd("FUNCTION");
        command.arg("LOAD").arg("REPLACE").arg(LIBRARY);
        let loaded =
            tokio::time::timeout(DEADLINE, command.query_async::<String>(&mut self.connection)).await;
        loaded.map_err(|_elapsed| Lost::Late)?.map(drop).map_err(Lost::from)
    }

    fn name(&self, key: &Key) -> String {
        let (limit, principal) = key;
        match principal {
            Principal::User(id) => format!("rl:{}:u{}", limit.name(), id.0),
            Principal::Address(address) => {
                let hash = blake3::keyed_hash(&self.key, address.to_string().as_bytes());
                format!("rl:{}:a{}", limit.name(), &hash.to_hex()[..16])
            }
        }
    }
}

/// Redis was restarted, or is new.
fn is_unknown_function(error: &RedisError) -> bool {
    error.to_string().contains("Function not found")
}
