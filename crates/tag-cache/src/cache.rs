//! The cache itself: one question in, one answer out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::Clock;
use crate::coherence::{Coherence, Verdict};
use crate::config::{CacheConfig, Enabled};
use crate::draft::{Draft, Stamp};
use crate::entry::Lifetime;
use crate::fill::{Lonely, fill};
use crate::flight::{Boarding, Flights};
use crate::follower::{self, Follower};
use crate::key::KeyHasher;
use crate::l1::L1;
use crate::l2::L2;
use crate::log::PurgeLog;
use crate::lookup::{CacheState, Lookup, Served};
use crate::mode::{Mode, Permit};
use crate::mode_log;
use crate::origin::{FillFailed, OriginCap};
use crate::position::Position;
use crate::question::Course;
use crate::stats::Counters;
use crate::tag::Tag;
use crate::token::{Signer, Token, TokenText, wall_ms};

/// A two-tier response cache with purges by tag. Cloning is a reference count.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: CacheConfig,
    pub(crate) clock: Clock,
    pub(crate) coherence: Arc<Coherence>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) l1: L1,
    pub(crate) l2: Option<L2>,
    pub(crate) nats: async_nats::Client,
    pub(crate) hasher: KeyHasher,
    pub(crate) flights: Arc<Flights>,
    pub(crate) shared_calls: OriginCap,
    pub(crate) lone_calls: OriginCap,
    pub(crate) log: PurgeLog,
    signer: Signer,
    pub(crate) tasks: TaskTracker,
}

/// A setting that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL is not one of Redis.
    #[error("read the Redis URL")]
    RedisUrl(#[source] redis::RedisError),
}

impl Cache {
    /// Starts following the purge log. Never fails because NATS or Redis are away: without NATS, strict
    /// routes go to the origin; without Redis, the first tier works alone. Must be called inside a runtime.
    ///
    /// # Errors
    /// When a setting cannot work.
    pub fn start(
        config: CacheConfig,
        nats: async_nats::Client,
        shutdown: CancellationToken,
    ) -> Result<Self, StartError> {
        let clock = Clock::start();
        let counters = Arc::new(Counters::default());
        let coherence = Arc::new(Coherence::new(config.sketch_slots));
        let l2 = match &config.redis_url {
            Some(url) if config.enabled == Enabled::Yes => {
                let counters = Arc::clone(&counters);
                let l2 = L2::new(url, &config.namespace, config.l2_deadline, clock, counters);
                Some(l2.map_err(StartError::RedisUrl)?)
            }
            _ => None,
        };
        let tasks = TaskTracker::new();
        let doubt = Arc::new(Notify::new());
        tasks.spawn(follower::listen(
            nats.clone(),
            Arc::clone(&coherence),
            clock,
            Arc::clone(&doubt),
            shutdown.clone(),
        ));
        let follower = Follower::new(
            nats.clone(),
            Arc::clone(&coherence),
            clock,
            Arc::clone(&counters),
            doubt,
            shutdown.clone(),
        );
        tasks.spawn(follower.run());
        tasks.spawn(mode_log::watch(Arc::clone(&coherence), clock, shutdown));
        let inner = Inner {
            clock,
            coherence,
            counters,
            l1: L1::new(config.l1_bytes_max),
            l2,
            hasher: KeyHasher::new(&config.token_key),
            flights: Arc::new(Flights::default()),
            shared_calls: OriginCap::new(config.shared_calls_max, config.origin_wait_max),
            lone_calls: OriginCap::new(config.lone_calls_max, config.origin_wait_max),
            log: PurgeLog::new(nats.clone(), config.purge_deadline),
            nats,
            signer: Signer::new(&config.token_key),
            tasks,
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The hot path: a fresh, clean answer from this process's memory, or `None`. Neither waits nor
    /// allocates; `None` means [`Self::get_or_fill`] has work to do, not that nothing is stored.
    #[inline]
    pub fn get(&self, lookup: &Lookup<'_>) -> Option<Served> {
        let inner = &*self.inner;
        if inner.config.enabled == Enabled::No {
            return None;
        }
        if let Some(token) = lookup.token
            && !inner.coherence.applied().covers(token.position)
        {
            return None;
        }
        let now = inner.clock.now();
        if inner.coherence.permit(lookup.class, now) != Permit::Serve {
            return None;
        }
        let entry = inner.l1.get(inner.hasher.hash(lookup.route, lookup.key, lookup.owner))?;
        let usable = entry.times.at(now) == Lifetime::Fresh
            && entry.answers(lookup.route, lookup.key, lookup.owner)
            && inner.coherence.judge(&entry) == Verdict::Clean;
        if !usable || lookup.token.is_some_and(|token| token.forbids(entry.tags(), wall_ms())) {
            return None;
        }
        inner.counters.hits_l1.add();
        Some(Served::new(entry, CacheState::HitL1, now))
    }

    /// The answer from memory, the shared store, another request's flight, or the origin.
    ///
    /// `fetch` asks the origin; it is called at most once, after the stamp was taken, in a task of its own,
    /// so that a client who leaves does not cancel what others wait for. It should have a deadline; the
    /// cache gives up on it after [`CacheConfig::fill_deadline`].
    ///
    /// # Errors
    /// What `fetch` returned, unless a stale answer may stand in for it; [`FillFailed`] when the origin was
    /// not asked or did not answer.
    pub async fn get_or_fill<F, Fut, E>(&self, lookup: &Lookup<'_>, fetch: F) -> Result<Served, E>
    where
        F: FnOnce(Stamp) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Draft, E>> + Send + 'static,
        E: From<FillFailed> + Send + 'static,
    {
        let inner = &self.inner;
        let course = inner.consider(lookup).await;
        let served = match course {
            Course::Serve(served) => Ok(served),
            Course::Refresh(question, served) => {
                if let Boarding::Lead(lead) = inner.board(&question) {
                    let inner = Arc::clone(inner);
                    self.inner.tasks.spawn(async move {
                        // The answer that is stale now stays servable inside its window, and the next
                        // request tries again.
                        if fill(Arc::clone(&inner), question, lead, fetch).await.is_err() {
                            inner.counters.fills_failed.add();
                        }
                    });
                }
                Ok(served)
            }
            Course::Share(question) => inner.share(question, fetch).await,
            Course::Alone(question) => inner.alone(question, Lonely::Bypass, fetch).await,
            Course::Off(question) => inner.alone(question, Lonely::Miss, fetch).await,
        };
        match &served {
            Ok(served) => inner.counters.served(served.state),
            Err(_) => inner.counters.fills_failed.add(),
        }
        served
    }

    /// Makes everything with one of these tags unservable, here at once and in every gateway as soon as it
    /// has read the log. Call it after the commit, before the client is answered, and give the client the
    /// token: wherever it asks next, it sees its write.
    ///
    /// Never fails: when the log does not acknowledge in time the token names the tags themselves, and the
    /// event's own way through the outbox brings the purge.
    pub async fn purge(&self, event_id: Uuid, tags: &[impl AsRef<str>], commit_lsn: u64) -> Token {
        let tags = tags.iter().map(|tag| Tag::of(tag.as_ref())).collect();
        self.inner.purge(event_id, tags, commit_lsn).await
    }

    /// The token of what this gateway has applied: every answer's header. Signed once per advance.
    pub fn token_header(&self) -> TokenText {
        self.inner.signer.current(self.inner.coherence.applied())
    }

    /// The header for an answer to a client that came with `token`: what it had already seen, or what this
    /// gateway has applied if that is more.
    pub fn token_header_for(&self, token: Option<&Token>) -> TokenText {
        let applied = self.inner.coherence.applied();
        match token {
            Some(token) if token.is_unpublished(wall_ms()) || token.position > applied => {
                self.inner.signer.sign(&token.clone().and(Token::at(applied)))
            }
            _ => self.inner.signer.current(applied),
        }
    }

    /// Signs a token for its client.
    pub fn sign(&self, token: &Token) -> TokenText {
        self.inner.signer.sign(token)
    }

    /// Reads a client's token. Forged ones, and ones that cannot have been handed out, are `None`: treat
    /// them as absent.
    pub fn read_token(&self, text: &str) -> Option<Token> {
        let coherence = &self.inner.coherence;
        let applied = coherence.applied();
        let known = Position::new(applied.epoch(), applied.sequence().max(coherence.last_named()));
        let token = self.inner.signer.read(text, known, wall_ms());
        if token.is_none() {
            self.inner.counters.tokens_refused.add();
        }
        token
    }

    /// Whether the purge pipeline is live, as of now.
    pub fn mode(&self) -> Mode {
        self.inner.coherence.mode(self.inner.clock.now())
    }

    /// Everything purged up to here is unservable in this process.
    pub fn applied(&self) -> Position {
        self.inner.coherence.applied()
    }

    /// Waits until everything up to `position` is unservable in this process; `false` if it is not by then.
    pub async fn applied_up_to(&self, position: Position, within: Duration) -> bool {
        self.inner.wait_for(position, within).await
    }

    /// Waits, after `shutdown`, for the tasks of this cache: the follower and the flights under way. Every
    /// one of them has a deadline.
    pub async fn stopped(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}
