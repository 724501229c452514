//! Asking the origin: together with others, or alone.

use std::sync::Arc;

use tokio::time::Instant;

use crate::cache::Inner;
use crate::clock::Moment;
use crate::codec;
use crate::coherence::Verdict;
use crate::draft::{Draft, Stamp, Storage};
use crate::entry::{Entry, Lifetime, Times, Validated};
use crate::flight::{Boarding, Following, Landing, Lead, Outcome};
use crate::lookup::{CacheState, Served};
use crate::mode::Permit;
use crate::origin::{FillFailed, OriginCap};
use crate::position::Position;
use crate::question::Question;
use crate::tag::TagSet;

/// Why a request asks the origin for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lonely {
    /// The cache cannot vouch for what it holds.
    Bypass,
    /// The cache is off, or the flight to join was too slow or another question's.
    Miss,
}

impl Inner {
    pub(crate) fn board(&self, question: &Question) -> Boarding {
        // Requests under different rules do not share what a flight may bring.
        let variant = match question.permit {
            Permit::Serve => 0,
            Permit::Verify => 1,
            Permit::OriginShared | Permit::OriginAlone => 2,
        };
        self.flights.board(question.hash.variant(variant), question.route, &question.key, question.owner)
    }

    pub(crate) async fn share<F, Fut, E>(self: &Arc<Self>, question: Question, fetch: F) -> Result<Served, E>
    where
        F: FnOnce(Stamp) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Draft, E>> + Send + 'static,
        E: From<FillFailed> + Send + 'static,
    {
        let deadline = Instant::now() + self.config.follower_wait_max;
        loop {
            match self.board(&question) {
                Boarding::Lead(lead) => {
                    let landing = self.tasks.spawn(fill(Arc::clone(self), question, lead, fetch)).await;
                    let landing = landing.unwrap_or(Err(FillFailed::Aborted.into()))?;
                    return Ok(Served::new(landing.entry, landing.state, self.clock.now()));
                }
                Boarding::Taken => return self.alone(question, Lonely::Miss, fetch).await,
                Boarding::Follow(flight) => match self.follow(flight, deadline).await {
                    Some(Outcome::Landed(landing)) if self.may_follow(&question, &landing) => {
                        let state = match landing.state {
                            CacheState::Miss => CacheState::Coalesced,
                            other => other,
                        };
                        return Ok(Served::new(landing.entry, state, self.clock.now()));
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
    pub(crate) async fn alone<F, Fut, E>(
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
        let asked = self.tasks.spawn(async move {
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
        Ok(Served::new(entry, state, self.clock.now()))
    }
}

/// An answer of the origin.
pub(crate) struct Fetched {
    pub(crate) entry: Arc<Entry>,
    pub(crate) storable: bool,
    pub(crate) as_of: Position,
}

/// One flight: memory again, the shared store, the origin. Runs in its own task.
pub(crate) async fn fill<F, Fut, E>(
    inner: Arc<Inner>,
    question: Question,
    lead: Lead,
    fetch: F,
) -> Result<Landing, E>
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
            owner: self.owner,
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
