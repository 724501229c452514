//! What a request may be answered with: decided before anybody is asked.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::Inner;
use crate::coherence::Verdict;
use crate::config::Enabled;
use crate::entry::{Entry, Lifetime};
use crate::key::KeyHash;
use crate::lookup::{CacheState, Class, Lookup, Served};
use crate::mode::Permit;
use crate::position::Position;
use crate::token::wall_ms;

/// A request with everything it owns, able to outlive its client.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) hash: KeyHash,
    pub(crate) route: &'static str,
    pub(crate) key: Box<str>,
    pub(crate) owner: u64,
    pub(crate) class: Class,
    pub(crate) fresh: Duration,
    /// What the client has seen: nothing stale with an older stamp may be served.
    pub(crate) seen: Position,
    /// What had been applied when the request arrived.
    pub(crate) arrival: Position,
    pub(crate) permit: Permit,
}

/// What to do with a request.
pub(crate) enum Course {
    Serve(Served),
    /// Serve something stale, and ask the origin unless somebody does already.
    Refresh(Question, Served),
    Share(Question),
    Alone(Question),
    Off(Question),
}

impl Inner {
    pub(crate) async fn consider(&self, lookup: &Lookup<'_>) -> Course {
        let question = Question {
            hash: self.hasher.hash(lookup.route, lookup.key, lookup.owner),
            route: lookup.route,
            key: lookup.key.into(),
            owner: lookup.owner,
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
            Lifetime::Fresh => Course::Serve(Served::new(entry, CacheState::HitL1, now)),
            Lifetime::Stale | Lifetime::Over => {
                Course::Refresh(question, Served::new(entry, CacheState::Stale, now))
            }
        }
    }

    /// What the first tier holds for this very question and purges allow.
    pub(crate) fn held(&self, question: &Question) -> Option<Arc<Entry>> {
        let entry = self.l1.get(question.hash)?;
        let usable = entry.answers(question.route, &question.key, question.owner)
            && self.coherence.judge(&entry) == Verdict::Clean;
        usable.then_some(entry)
    }

    /// While the log is silent the tag versions must agree as well.
    pub(crate) async fn vouched(&self, question: &Question, entry: &Entry) -> bool {
        match (question.permit, &self.l2) {
            (Permit::Verify, Some(l2)) => l2.allows(entry.stamp, entry.tags()).await,
            (Permit::Verify, None) => false,
            (Permit::Serve | Permit::OriginShared | Permit::OriginAlone, _) => true,
        }
    }

    pub(crate) async fn wait_for(&self, position: Position, at_most: Duration) -> bool {
        if self.coherence.applied().covers(position) {
            return true;
        }
        let mut progress = self.coherence.progress();
        let reached = progress.wait_for(|applied| applied.covers(position));
        matches!(tokio::time::timeout(at_most, reached).await, Ok(Ok(_)))
    }
}
