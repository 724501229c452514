//! The second tier: Redis, shared by all gateways. Its failure makes requests slower, never wrong.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, FromRedisValue, RedisError};

use crate::breaker::{Breaker, Transition};
use crate::clock::{Clock, millis};
use crate::key::KeyHash;
use crate::position::Position;
use crate::stats::Counters;
use crate::tag::Tag;
use crate::tag_versions;

/// A connection to Redis that never errs: a question that cannot be answered in time has no answer.
#[derive(Debug)]
pub(crate) struct L2 {
    connection: ConnectionManager,
    names: String,
    deadline: Duration,
    clock: Clock,
    breaker: Mutex<Breaker>,
    counters: Arc<Counters>,
}

/// Why Redis did not answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("no answer within the deadline")]
    Late,
    #[error(transparent)]
    Redis(#[from] RedisError),
}

impl L2 {
    /// Does not connect yet. Must be called inside a runtime.
    pub(crate) fn new(
        url: &str,
        namespace: &str,
        deadline: Duration,
        clock: Clock,
        counters: Arc<Counters>,
    ) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(deadline))
            .set_connection_timeout(Some(Duration::from_millis(500)))
            // The breaker decides when to try again; the first question after a failure starts a new attempt.
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(redis::Client::open(url)?, config)?;
        let names = format!("cv:{namespace}:");
        Ok(Self { connection, names, deadline, clock, breaker: Mutex::new(Breaker::new()), counters })
    }

    /// The name of an entry. A plain key: entries of one route spread over all slots of a cluster.
    pub(crate) fn name(&self, route: &str, hash: KeyHash) -> String {
        format!("{}{route}:{hash}", self.names)
    }

    pub(crate) async fn get(&self, name: &str) -> Option<Bytes> {
        let value: Option<Vec<u8>> = self.ask(redis::cmd("GET").arg(name)).await?;
        value.map(Bytes::from)
    }

    pub(crate) async fn set(&self, name: &str, value: &[u8], lifetime: Duration) {
        let milliseconds = millis(lifetime).max(1);
        self.ask::<()>(redis::cmd("SET").arg(name).arg(value).arg("PX").arg(milliseconds)).await;
    }

    pub(crate) async fn forget(&self, name: &str) {
        self.ask::<()>(redis::cmd("UNLINK").arg(name)).await;
    }

    /// The second opinion of the tag versions: whether an entry with these tags and this stamp may be served.
    pub(crate) async fn allows(&self, stamp: Position, tags: &[Tag]) -> bool {
        let mut question = redis::cmd("MGET");
        question.arg(tag_versions::ALIVE);
        for &tag in tags {
            question.arg(tag_versions::key(tag));
        }
        let values: Option<Vec<Option<Vec<u8>>>> = self.ask(&question).await;
        values.is_some_and(|values| values.len() == tags.len() + 1 && tag_versions::allow(stamp, &values))
    }

    pub(crate) fn is_available(&self) -> bool {
        self.breaker().is_closed()
    }

    async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Option<T> {
        if !self.breaker().admit(self.clock.now()) {
            self.counters.l2_skipped.add();
            return None;
        }
        let mut connection = self.connection.clone();
        let answer = match tokio::time::timeout(self.deadline, question.query_async(&mut connection)).await {
            Ok(answer) => answer.map_err(NoAnswer::from),
            Err(_) => Err(NoAnswer::Late),
        };
        match answer {
            Ok(answer) => {
                if self.breaker().succeeded() == Transition::Closed {
                    tracing::info!("[CACHE] Redis answers again");
                }
                Some(answer)
            }
            Err(error) => {
                self.counters.l2_errors.add();
                if self.breaker().failed(self.clock.now()) == Transition::Opened {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "[CACHE] Erro ao buscar do cache"
                    );
                }
                None
            }
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        // Its methods do not panic half-way.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
