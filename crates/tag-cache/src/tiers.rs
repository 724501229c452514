//! Keeping answers in both tiers, and finding them again in the second.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::Inner;
use crate::clock::millis;
use crate::codec::{self, Record};
use crate::coherence::Verdict;
use crate::config::Enabled;
use crate::entry::{Entry, Lifetime, Times, Validated};
use crate::fill::Fetched;
use crate::question::Question;
use crate::tag::TagSet;
use crate::token::wall_ms;

impl Inner {
    /// Puts an answer into the first tier, unless it may not be stored or is dead already.
    pub(crate) fn keep(&self, question: &Question, fetched: &Fetched) -> bool {
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
    pub(crate) async fn store(&self, question: &Question, entry: &Entry) {
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
            owner: entry.owner,
            head: &entry.head,
            body: &entry.body,
        };
        if let Some(bytes) = codec::encode(&record) {
            let lifetime = entry.times.stale_until.since(now);
            l2.set(&l2.name(question.route, question.hash), &bytes, lifetime).await;
        }
    }

    pub(crate) fn spawn_store(self: &Arc<Self>, question: Question, entry: Arc<Entry>) {
        let inner = Arc::clone(self);
        self.tasks.spawn(async move { inner.store(&question, &entry).await });
    }

    /// What the second tier holds for this very question, purges allow, and time allows.
    pub(crate) async fn stored(&self, question: &Question) -> Option<Arc<Entry>> {
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
            owner: record.owner,
            status: record.status,
            head: record.head,
            body: record.body,
            tags: TagSet::new(record.tags),
            stamp: record.stamp,
            times: Times { created, fresh_until, stale_until: fresh_until.plus(record.stale) },
            validated: Validated::default(),
        });
        let usable = entry.answers(question.route, &question.key, question.owner)
            && entry.times.at(now) != Lifetime::Over
            && self.coherence.judge(&entry) == Verdict::Clean;
        usable.then_some(entry)
    }
}
