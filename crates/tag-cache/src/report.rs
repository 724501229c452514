//! What a cache tells about itself: a snapshot for code, text for Prometheus.

use std::fmt::Write as _;

use crate::cache::Cache;
use crate::clock::millis;
use crate::mode::Mode;
use crate::token::wall_ms;

/// A moment's view of one cache. Counters count since the start.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Whether the purge pipeline is live.
    pub mode: Mode,
    /// The last position applied.
    pub applied: crate::Position,
    /// Stamps below this cannot be judged.
    pub floor: crate::Position,
    /// The last sequence a heartbeat named.
    pub last_named: u64,
    /// For how long a sequence that a heartbeat named has not been applied, in milliseconds.
    pub behind_ms: u64,
    /// The age of the newest applied purge by wall clocks, in milliseconds; `None` before the first.
    pub newest_purge_age_ms: Option<u64>,
    /// Entries in memory.
    pub l1_entries: usize,
    /// Their weight.
    pub l1_bytes: u64,
    /// Whether Redis is being asked; `None` without one.
    pub l2_available: Option<bool>,
    /// Answers from memory.
    pub hits_l1: u64,
    /// Answers from Redis.
    pub hits_l2: u64,
    /// Answers past their fresh time.
    pub stale: u64,
    /// Answers of the origin, asked by the request itself.
    pub misses: u64,
    /// Answers of the origin, asked by another request.
    pub coalesced: u64,
    /// Answers of the origin because the cache could not vouch for what it holds.
    pub bypassed: u64,
    /// Requests that wait for another one's result now.
    pub followers_waiting: u64,
    /// Times a request refused another one's result because a purge came in between.
    pub refused_followers: u64,
    /// Requests without an answer.
    pub fills_failed: u64,
    /// Origin calls that found no place under the cap.
    pub origin_refused: u64,
    /// Purges this process put on the log.
    pub purges_published: u64,
    /// Purges left to the outbox.
    pub purges_unpublished: u64,
    /// Purges read from the log.
    pub purges_applied: u64,
    /// Times the log did not hold what should have been read.
    pub log_gaps: u64,
    /// Messages nobody could read.
    pub log_unreadable: u64,
    /// Times the log turned out to be another one.
    pub log_breaks: u64,
    /// Consumers made.
    pub log_sessions: u64,
    /// Questions Redis did not answer in time or refused.
    pub l2_errors: u64,
    /// Questions not asked because the breaker was open.
    pub l2_skipped: u64,
    /// Values in Redis that were no entries.
    pub l2_undecodable: u64,
    /// Tokens that were forged or impossible.
    pub tokens_refused: u64,
}

impl Cache {
    /// A moment's view.
    pub fn stats(&self) -> Stats {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let counters = &inner.counters;
        let newest = inner.coherence.newest_purge();
        Stats {
            mode: inner.coherence.mode(now),
            applied: inner.coherence.applied(),
            floor: inner.coherence.floor(),
            last_named: inner.coherence.last_named(),
            behind_ms: millis(inner.coherence.behind(now)),
            newest_purge_age_ms: newest.map(|purge| wall_ms().saturating_sub(purge.commit_ms)),
            l1_entries: inner.l1.len(),
            l1_bytes: inner.l1.bytes(),
            l2_available: inner.l2.as_ref().map(crate::l2::L2::is_available),
            hits_l1: counters.hits_l1.get(),
            hits_l2: counters.hits_l2.get(),
            stale: counters.stale.get(),
            misses: counters.misses.get(),
            coalesced: counters.coalesced.get(),
            bypassed: counters.bypassed.get(),
            followers_waiting: counters.followers_waiting.get(),
            refused_followers: counters.refused_followers.get(),
            fills_failed: counters.fills_failed.get(),
            origin_refused: counters.origin_refused.get(),
            purges_published: counters.purges_published.get(),
            purges_unpublished: counters.purges_unpublished.get(),
            purges_applied: counters.purges_applied.get(),
            log_gaps: counters.log_gaps.get(),
            log_unreadable: counters.log_unreadable.get(),
            log_breaks: counters.log_breaks.get(),
            log_sessions: counters.log_sessions.get(),
            l2_errors: counters.l2_errors.get(),
            l2_skipped: counters.l2_skipped.get(),
            l2_undecodable: counters.l2_undecodable.get(),
            tokens_refused: counters.tokens_refused.get(),
        }
    }

    /// Appends this cache's metrics in Prometheus' text format.
    pub fn prometheus(&self, out: &mut String) {
        let stats = self.stats();
        let mut write = |text: std::fmt::Arguments<'_>| {
            out.write_fmt(text).expect("a string takes every write");
        };
        write(format_args!("# TYPE tag_cache_requests_total counter\n"));
        for (state, count) in [
            ("hit_l1", stats.hits_l1),
            ("hit_l2", stats.hits_l2),
            ("stale", stats.stale),
            ("miss", stats.misses),
            ("coalesced", stats.coalesced),
            ("bypass", stats.bypassed),
            ("error", stats.fills_failed),
        ] {
            write(format_args!("tag_cache_requests_total{{state=\"{state}\"}} {count}\n"));
        }
        write(format_args!("# TYPE tag_cache_mode gauge\n"));
        for mode in [Mode::Live, Mode::Lagging, Mode::Suspect, Mode::Resync] {
            let on = u8::from(mode == stats.mode);
            write(format_args!("tag_cache_mode{{mode=\"{}\"}} {on}\n", mode.name()));
        }
        for (name, value) in [
            ("tag_cache_epoch", u64::from(stats.applied.epoch())),
            ("tag_cache_applied_sequence", stats.applied.sequence()),
            ("tag_cache_named_sequence", stats.last_named),
            ("tag_cache_behind_milliseconds", stats.behind_ms),
            ("tag_cache_l1_entries", stats.l1_entries as u64),
            ("tag_cache_l1_bytes", stats.l1_bytes),
            ("tag_cache_followers_waiting", stats.followers_waiting),
            ("tag_cache_l2_available", u64::from(stats.l2_available.unwrap_or(false))),
        ] {
            write(format_args!("# TYPE {name} gauge\n{name} {value}\n"));
        }
        for (name, value) in [
            ("tag_cache_followers_refused_total", stats.refused_followers),
            ("tag_cache_origin_refused_total", stats.origin_refused),
            ("tag_cache_purges_published_total", stats.purges_published),
            ("tag_cache_purges_unpublished_total", stats.purges_unpublished),
            ("tag_cache_purges_applied_total", stats.purges_applied),
            ("tag_cache_log_gaps_total", stats.log_gaps),
            ("tag_cache_log_unreadable_total", stats.log_unreadable),
            ("tag_cache_log_breaks_total", stats.log_breaks),
            ("tag_cache_log_sessions_total", stats.log_sessions),
            ("tag_cache_l2_errors_total", stats.l2_errors),
            ("tag_cache_l2_skipped_total", stats.l2_skipped),
            ("tag_cache_l2_undecodable_total", stats.l2_undecodable),
            ("tag_cache_tokens_refused_total", stats.tokens_refused),
        ] {
            write(format_args!("# TYPE {name} counter\n{name} {value}\n"));
        }
    }
}
