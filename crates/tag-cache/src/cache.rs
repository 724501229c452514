//! The cache itself: one question in, one answer out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::{Clock, Moment, millis};
use crate::codec::{self, Record};
use crate::coherence::{Coherence, Verdict};
use crate::config::{CacheConfig, Enabled};
use crate::draft::{Draft, Stamp, Storage};
use crate::entry::{Entry, Lifetime, Times, Validated};
use crate::flight::{Boarding, Flights, Following, Landing, Lead, Outcome};
use crate::follower::{self, Follower};
use crate::key::{KeyHash, KeyHasher};
use crate::l1::L1;
use crate::l2::L2;
use crate::log::{Published, Purge, PurgeLog, PurgeMode, Turn};
use crate::lookup::{CacheState, Class, Lookup, Served};
use crate::mode::{LogState, Mode, Permit};
use crate::mode_log;
use crate::origin::{FillFailed, OriginCap};
use crate::position::Position;
use crate::stats::Counters;
use crate::tag::{Tag, TagSet};
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
    nats: async_nats::Client,
    hasher: KeyHasher,
    flights: Arc<Flights>,
    shared_calls: OriginCap,
    lone_calls: OriginCap,
    log: PurgeLog,
    signer: Signer,
    tasks: TaskTracker,
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
        let entry = inner.l1.get(inner.hasher.hash(lookup.route, lookup.key))?;
        let usable = entry.times.at(now) == Lifetime::Fresh
            && entry.answers(lookup.route, lookup.key)
            && inner.coherence.judge(&entry) == Verdict::Clean;
        if !usable || lookup.token.is_some_and(|token| token.forbids(entry.tags(), wall_ms())) {
            return None;
        }
        inner.counters.hits_l1.add();
        Some(served(entry, CacheState::HitL1, now))
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

/// A request with everything it owns, able to outlive its client.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    hash: KeyHash,
    route: &'static str,
    key: Box<str>,
    class: Class,
    fresh: Duration,
    /// What the client has seen: nothing stale with an older stamp may be served.
    seen: Position,
    /// What had been applied when the request arrived.
    arrival: Position,
    permit: Permit,
}

/// What to do with a request.
enum Course {
    Serve(Served),
    /// Serve something stale, and ask the origin unless somebody does already.
    Refresh(Question, Served),
    Share(Question),
    Alone(Question),
    Off(Question),
}

/// Why a request asks the origin for itself.
#[derive(Clone, Copy, Debug)]
enum Lonely {
    /// The cache cannot vouch for what it holds.
    Bypass,
    /// The cache is off, or the flight to join was too slow or another question's.
    Miss,
}

impl Inner {
    async fn consider(&self, lookup: &Lookup<'_>) -> Course {
        let question = Question {
            hash: self.hasher.hash(lookup.route, lookup.key),
            route: lookup.route,
            key: lookup.key.into(),
            class: lookup.class,
            fresh: lookup.fresh,
            seen: lookup.token.map_or(Position::START, |token| token.position),
            arrival: self.coherence.arrival(),
            permit: Permit::OriginAlone,
        };
        if self.config.enabled == Enabled::No {
            return Course::Off(question);
        }
        if !self.wait_for(question.seen, self.config.token_wait_max).await {
            return Course::Alone(question);
        }
        let now = self.clock.now();
        let permit = self.coherence.permit(lookup.class, now);
        let question = Question { permit, arrival: self.coherence.arrival(), ..question };
        match permit {
            Permit::OriginAlone => return Course::Alone(question),
            Permit::OriginShared => return Course::Share(question),
            Permit::Serve | Permit::Verify => {}
        }
        let held = self.held(&question);
        if let Some(token) = lookup.token
            && token.is_unpublished(wall_ms())
            && held.as_ref().is_none_or(|entry| token.forbids(entry.tags(), wall_ms()))
        {
            // The purge of this client's write may be anywhere; a flight or the shared store may predate it.
            return Course::Alone(question);
        }
        let Some(entry) = held else { return Course::Share(question) };
        let lifetime = entry.times.at(now);
        let in_time = match lifetime {
            Lifetime::Fresh => true,
            Lifetime::Stale => entry.stamp >= question.seen,
            Lifetime::Over => false,
        };
        if !in_time || !self.vouched(&question, &entry).await {
            return Course::Share(question);
        }
        match lifetime {
            Lifetime::Fresh => Course::Serve(served(entry, CacheState::HitL1, now)),
            Lifetime::Stale | Lifetime::Over => {
                Course::Refresh(question, served(entry, CacheState::Stale, now))
            }
        }
    }

    /// What the first tier holds for this very question and purges allow.
    fn held(&self, question: &Question) -> Option<Arc<Entry>> {
        let entry = self.l1.get(question.hash)?;
        let usable =
            entry.answers(question.route, &question.key) && self.coherence.judge(&entry) == Verdict::Clean;
        usable.then_some(entry)
    }

    /// While the log is silent the tag versions must agree as well.
    async fn vouched(&self, question: &Question, entry: &Entry) -> bool {
        match (question.permit, &self.l2) {
            (Permit::Verify, Some(l2)) => l2.allows(entry.stamp, entry.tags()).await,
            (Permit::Verify, None) => false,
            (Permit::Serve | Permit::OriginShared | Permit::OriginAlone, _) => true,
        }
    }

    async fn wait_for(&self, position: Position, at_most: Duration) -> bool {
        if self.coherence.applied().covers(position) {
            return true;
        }
        let mut progress = self.coherence.progress();
        let reached = progress.wait_for(|applied| applied.covers(position));
        matches!(tokio::time::timeout(at_most, reached).await, Ok(Ok(_)))
    }

    fn board(&self, question: &Question) -> Boarding {
        // Requests under different rules do not share what a flight may bring.
        let variant = match question.permit {
            Permit::Serve => 0,
            Permit::Verify => 1,
            Permit::OriginShared | Permit::OriginAlone => 2,
        };
        self.flights.board(question.hash.variant(variant), question.route, &question.key)
    }

    async fn share<F, Fut, E>(self: &Arc<Self>, question: Question, fetch: F) -> Result<Served, E>
    where
        F: FnOnce(Stamp) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Draft, E>> + Send + 'static,
        E: From<FillFailed> + Send + 'static,
    {
        let deadline = Instant::now() + self.config.follower_wait_max;
        loop {
            match self.board(&question) {
                Boarding::Lead(lead) => {
                    let landing = self.spawn(fill(Arc::clone(self), question, lead, fetch)).await;
                    let landing = landing.unwrap_or(Err(FillFailed::Aborted.into()))?;
                    return Ok(served(landing.entry, landing.state, self.clock.now()));
                }
                Boarding::Taken => return self.alone(question, Lonely::Miss, fetch).await,
                Boarding::Follow(flight) => match self.follow(flight, deadline).await {
                    Some(Outcome::Landed(landing)) if self.may_follow(&question, &landing) => {
                        let state = match landing.state {
                            CacheState::Miss => CacheState::Coalesced,
                            other => other,
                        };
                        return Ok(served(landing.entry, state, self.clock.now()));
                    }
                    Some(Outcome::Landed(_)) => self.counters.refused_followers.add(),
                    Some(Outcome::Failed) => {}
                    None => return self.alone(question, Lonely::Miss, fetch).await,
                },
            }
        }
    }

    async fn follow(&self, flight: Following, deadline: Instant) -> Option<Outcome> {
        let _waiting = self.counters.followers_waiting.one_more();
        flight.outcome_by(deadline).await
    }

    /// The follower rule: a flight's result is for those who came before it looked, and for those who came
    /// later only if nothing it depends on was purged since.
    fn may_follow(&self, question: &Question, landing: &Landing) -> bool {
        let stale_to_this_client = landing.state == CacheState::Stale && landing.entry.stamp < question.seen;
        if stale_to_this_client {
            return false;
        }
        question.arrival <= landing.as_of
            || (!landing.entry.tags().is_empty() && self.coherence.judge(&landing.entry) == Verdict::Clean)
    }

    /// The origin for this request only.
    async fn alone<F, Fut, E>(
        self: &Arc<Self>,
        question: Question,
        why: Lonely,
        fetch: F,
    ) -> Result<Served, E>
    where
        F: FnOnce(Stamp) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Draft, E>> + Send + 'static,
        E: From<FillFailed> + Send + 'static,
    {
        let inner = Arc::clone(self);
        let asked = self.spawn(async move {
            let deadline = inner.config.fill_deadline;
            let cap = match why {
                Lonely::Bypass => &inner.lone_calls,
                Lonely::Miss => &inner.shared_calls,
            };
            let asked = Box::pin(ask_origin(&inner, cap, &question, fetch));
            let fetched = tokio::time::timeout(deadline, asked).await;
            let fetched = fetched.unwrap_or(Err(FillFailed::Deadline.into()))?;
            let entry = Arc::clone(&fetched.entry);
            // Stamped before it was read like every other answer, hence as safe to keep.
            if inner.keep(&question, &fetched) {
                inner.spawn_store(question, Arc::clone(&entry));
            }
            Ok::<_, E>(entry)
        });
        let entry = asked.await.unwrap_or(Err(FillFailed::Aborted.into()))?;
        let state = match why {
            Lonely::Bypass => CacheState::Bypass,
            Lonely::Miss => CacheState::Miss,
        };
        Ok(served(entry, state, self.clock.now()))
    }

    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.tasks.spawn(task)
    }

    fn spawn_store(self: &Arc<Self>, question: Question, entry: Arc<Entry>) {
        let inner = Arc::clone(self);
        self.tasks.spawn(async move { inner.store(&question, &entry).await });
    }

    /// Puts an answer into the first tier, unless it may not be stored or is dead already.
    fn keep(&self, question: &Question, fetched: &Fetched) -> bool {
        let entry = &fetched.entry;
        let storable = fetched.storable
            && self.config.enabled == Enabled::Yes
            && entry.times.fresh_until > entry.times.created
            && entry.head.len() + entry.body.len() <= self.config.entry_bytes_max
            && self.coherence.judge(entry) == Verdict::Clean;
        if storable {
            self.l1.insert(question.hash, Arc::clone(entry));
        }
        storable
    }

    /// Writes an answer to the second tier, after the client was answered.
    async fn store(&self, question: &Question, entry: &Entry) {
        let Some(l2) = &self.l2 else { return };
        let now = self.clock.now();
        let record = Record {
            status: entry.status,
            stamp: entry.stamp,
            created_wall_ms: wall_ms().saturating_sub(millis(now.since(entry.times.created))),
            fresh: entry.times.fresh_until.since(entry.times.created),
            stale: entry.times.stale_until.since(entry.times.fresh_until),
            tags: entry.tags(),
            route: &entry.route,
            key: &entry.key,
            head: &entry.head,
            body: &entry.body,
        };
        if let Some(bytes) = codec::encode(&record) {
            let lifetime = entry.times.stale_until.since(now);
            l2.set(&l2.name(question.route, question.hash), &bytes, lifetime).await;
        }
    }

    /// What the second tier holds for this very question, purges allow, and time allows.
    async fn stored(&self, question: &Question) -> Option<Arc<Entry>> {
        let l2 = self.l2.as_ref()?;
        let name = l2.name(question.route, question.hash);
        let bytes = l2.get(&name).await?;
        let Ok(record) = codec::decode(&bytes) else {
            self.counters.l2_undecodable.add();
            l2.forget(&name).await;
            return None;
        };
        let now = self.clock.now();
        // Clocks of gateways differ; purges do not depend on them, only the time to live does.
        let age = Duration::from_millis(wall_ms().saturating_sub(record.created_wall_ms));
        let created = now.minus(age);
        let fresh_until = created.plus(record.fresh);
        let entry = Arc::new(Entry {
            route: record.route,
            key: record.key,
            status: record.status,
            head: record.head,
            body: record.body,
            tags: TagSet::new(record.tags),
            stamp: record.stamp,
            times: Times { created, fresh_until, stale_until: fresh_until.plus(record.stale) },
            validated: Validated::default(),
        });
        let usable = entry.answers(question.route, &question.key)
            && entry.times.at(now) != Lifetime::Over
            && self.coherence.judge(&entry) == Verdict::Clean;
        usable.then_some(entry)
    }

    /// Whether the log a purge went to continues what had been applied here before it was published. One that lost its end counts again from
    /// an earlier sequence, and until that is noticed a position on it would look as if it were applied.
    fn continues_the_log(&self, applied_before: Position, published: &Published) -> bool {
        let follows = published.position > applied_before || published.turn == Turn::Later;
        follows && self.coherence.log() == LogState::Attached
    }

    async fn purge(&self, event_id: Uuid, tags: Vec<Tag>, commit_lsn: u64) -> Token {
        if tags.is_empty() {
            return Token::at(self.coherence.applied());
        }
        let commit_ms = wall_ms();
        let purge = Purge { event_id, commit_lsn, commit_ms, tags, mode: PurgeMode::Hard };
        let epoch = self.coherence.epoch();
        let connected = self.nats.connection_state() == async_nats::connection::State::Connected;
        if epoch != 0 && connected {
            // Covers the sending too, which blocks when the client's buffer is full.
            let applied_before = self.coherence.applied();
            let published = self.log.publish_once(epoch, &purge);
            match tokio::time::timeout(self.config.purge_deadline, published).await {
                Ok(Ok(published)) => {
                    self.coherence.raise(published.position, purge.tags.iter().copied());
                    self.counters.purges_published.add();
                    return if self.continues_the_log(applied_before, &published) {
                        Token::at(published.position)
                    } else {
                        Token::unpublished(published.position, commit_ms, purge.tags)
                    };
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, event.id = %event_id, "the outbox will bring this purge");
                }
                Err(_) => tracing::warn!(event.id = %event_id, "the outbox will bring this purge"),
            }
        }
        // No position yet. It will be behind what is applied, so in this process the tags die now and stay
        // uncacheable until the log moves.
        let applied = self.coherence.applied();
        self.coherence.raise(applied.next(), purge.tags.iter().copied());
        self.counters.purges_unpublished.add();
        Token::unpublished(applied, commit_ms, purge.tags)
    }
}

/// An answer of the origin.
struct Fetched {
    entry: Arc<Entry>,
    storable: bool,
    as_of: Position,
}

/// One flight: memory again, the shared store, the origin. Runs in its own task.
async fn fill<F, Fut, E>(inner: Arc<Inner>, question: Question, lead: Lead, fetch: F) -> Result<Landing, E>
where
    F: FnOnce(Stamp) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Draft, E>> + Send + 'static,
    E: From<FillFailed> + Send + 'static,
{
    let deadline = inner.config.fill_deadline;
    let found = tokio::time::timeout(deadline, Box::pin(find(&inner, &question, fetch))).await;
    let (landing, storable) = found.unwrap_or(Err(FillFailed::Deadline.into()))?;
    lead.land(landing.clone());
    if storable {
        inner.spawn_store(question, Arc::clone(&landing.entry));
    }
    Ok(landing)
}

async fn find<F, Fut, E>(inner: &Arc<Inner>, question: &Question, fetch: F) -> Result<(Landing, bool), E>
where
    F: FnOnce(Stamp) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Draft, E>> + Send + 'static,
    E: From<FillFailed> + Send + 'static,
{
    let mut fallback = None;
    if matches!(question.permit, Permit::Serve | Permit::Verify) {
        // The flight before this one may have landed after this request looked.
        let as_of = inner.coherence.arrival();
        if let Some(entry) = inner.held(question) {
            match usable(inner, question, &entry).await {
                Lifetime::Fresh => return Ok((Landing { entry, state: CacheState::HitL1, as_of }, false)),
                Lifetime::Stale => fallback = Some(entry),
                Lifetime::Over => {}
            }
        }
        let as_of = inner.coherence.arrival();
        if let Some(entry) = inner.stored(question).await {
            match usable(inner, question, &entry).await {
                Lifetime::Fresh => {
                    inner.l1.insert(question.hash, Arc::clone(&entry));
                    return Ok((Landing { entry, state: CacheState::HitL2, as_of }, false));
                }
                Lifetime::Stale => fallback = fallback.or(Some(entry)),
                Lifetime::Over => {}
            }
        }
    }
    match ask_origin(inner, &inner.shared_calls, question, fetch).await {
        Ok(fetched) => {
            let storable = inner.keep(question, &fetched);
            let landing = Landing { entry: fetched.entry, state: CacheState::Miss, as_of: fetched.as_of };
            Ok((landing, storable))
        }
        Err(error) => {
            // Judged again: the origin took its time to fail.
            let as_of = inner.coherence.arrival();
            let stand_in = fallback.filter(|entry| {
                entry.times.at(inner.clock.now()) != Lifetime::Over
                    && inner.coherence.judge(entry) == Verdict::Clean
            });
            let entry = stand_in.ok_or(error)?;
            Ok((Landing { entry, state: CacheState::Stale, as_of }, false))
        }
    }
}

/// How far an entry that purges allow may be used for this question.
async fn usable(inner: &Inner, question: &Question, entry: &Entry) -> Lifetime {
    let lifetime = match entry.times.at(inner.clock.now()) {
        Lifetime::Stale if entry.stamp < question.seen => Lifetime::Over,
        lifetime => lifetime,
    };
    if lifetime != Lifetime::Over && !inner.vouched(question, entry).await {
        return Lifetime::Over;
    }
    lifetime
}

async fn ask_origin<F, Fut, E>(
    inner: &Arc<Inner>,
    cap: &OriginCap,
    question: &Question,
    fetch: F,
) -> Result<Fetched, E>
where
    F: FnOnce(Stamp) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Draft, E>> + Send + 'static,
    E: From<FillFailed> + Send + 'static,
{
    let place = cap.enter().await.inspect_err(|_| inner.counters.origin_refused.add())?;
    // The one place where a stamp is made: before the question is asked.
    let stamp = Stamp::take(&inner.coherence, inner.clock.now());
    let (as_of, asked_at) = (stamp.position, stamp.taken);
    let draft = fetch(stamp).await?;
    drop(place);
    Ok(question.fetched(draft, as_of, asked_at))
}

impl Question {
    fn fetched(&self, draft: Draft, as_of: Position, asked_at: Moment) -> Fetched {
        let (stamp, tags, storable) = match draft.storage {
            Storage::Stored { stamp, tags } if tags.len() <= codec::TAGS_MAX => (stamp.position, tags, true),
            Storage::Stored { stamp, tags: _ } => (stamp.position, Vec::new(), false),
            Storage::NotStored => (as_of, Vec::new(), false),
        };
        let fresh_until = if storable { asked_at.plus(self.fresh) } else { asked_at };
        let stale_until = if storable { fresh_until.plus(self.class.stale_window()) } else { asked_at };
        let entry = Entry {
            route: self.route.into(),
            key: self.key.clone(),
            status: draft.status,
            head: draft.head,
            body: draft.body,
            tags: TagSet::new(tags),
            stamp,
            times: Times { created: asked_at, fresh_until, stale_until },
            validated: Validated::default(),
        };
        Fetched { entry: Arc::new(entry), storable, as_of: stamp }
    }
}

fn served(entry: Arc<Entry>, state: CacheState, now: Moment) -> Served {
    let age = now.since(entry.times.created);
    let fresh_left = entry.times.fresh_until.since(now);
    Served { entry, state, age, fresh_left }
}
