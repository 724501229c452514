//! The rules: when a new epoch begins, and how old the oldest change is that is not on the log.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use time::OffsetDateTime;

/// A relay that was not heard for so long counts as having something pending since then.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// Sequences remembered with the time they were first heard of; the oldest matter most.
const HEARD_MAX: usize = 1_024;

/// What the server says of the purge log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogState {
    pub(crate) created: OffsetDateTime,
    pub(crate) last_seq: u64,
    /// When the last message was stored, in whole microseconds as the database keeps it.
    pub(crate) last_time: OffsetDateTime,
}

/// Whether the message that was last is still where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuity {
    Unbroken,
    /// The log lost its end and may have grown past it again, under sequences used before.
    Broken,
}

/// What is remembered of the purge log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coherence {
    pub(crate) epoch: u16,
    pub(crate) log: LogState,
}

impl Coherence {
    /// What to remember after the server said `seen`. The log going back, or being another one, begins
    /// a new epoch: positions of the old one mean nothing any more.
    pub(crate) fn after(known: Option<Coherence>, seen: LogState, continuity: Continuity) -> Coherence {
        let epoch = match known {
            None => 1,
            Some(known) if known.continues_in(seen) && continuity == Continuity::Unbroken => known.epoch,
            Some(known) => next(known.epoch),
        };
        Coherence { epoch, log: seen }
    }

    /// Whether `seen` is the same log, at the same place or further.
    pub(crate) fn continues_in(&self, seen: LogState) -> bool {
        self.log.created == seen.created && self.log.last_seq <= seen.last_seq
    }

    /// The same log in a new epoch: everything cached so far is dead.
    pub(crate) fn renewed(self) -> Coherence {
        Coherence { epoch: next(self.epoch), log: self.log }
    }
}

fn next(epoch: u16) -> u16 {
    epoch.checked_add(1).expect("65,535 losses of the log in the life of a shop")
}

/// What a relay said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RelayState {
    /// Time since it said it.
    pub(crate) age: Duration,
    pub(crate) oldest_pending: Duration,
    pub(crate) stream_seq: u64,
    pub(crate) published_xmin: u64,
}

/// What the consumer of the mutation stream has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Every message of the stream is purged.
    All,
    /// Every message up to this sequence is.
    UpTo(u64),
}

impl Progress {
    fn covers(self, seq: u64) -> bool {
        match self {
            Progress::All => true,
            Progress::UpTo(done) => seq <= done,
        }
    }
}

/// How far the pipeline is behind the databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lag {
    pub(crate) oldest_pending: Duration,
    pub(crate) published_xmin: u64,
}

/// Puts together what relays say and what was done about it. Times are readings of one monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    /// Sequences relays named, with the time they were first heard of, until they are purged.
    heard: VecDeque<(u64, Duration)>,
    /// Per service: the horizon that counts once its sequence is purged, and the one that counts.
    horizons: HashMap<String, Horizon>,
}

#[derive(Debug, Default)]
struct Horizon {
    waiting: Option<(u64, u64)>,
    purged_xmin: u64,
}

impl Pipeline {
    /// How far behind the pipeline is at `now`. `relays` has every configured service; `None` was never
    /// heard, which says nothing good. `progress` was read after the relays were.
    pub(crate) fn lag(
        &mut self,
        now: Duration,
        relays: &[(&str, Option<RelayState>)],
        progress: Progress,
    ) -> Lag {
        let mut oldest_pending = Duration::ZERO;
        for (service, relay) in relays {
            let Some(relay) = relay else {
                oldest_pending = oldest_pending.max(now).max(2 * SILENCE_MAX);
                self.horizons.entry((*service).to_owned()).or_default().purged_xmin = 0;
                continue;
            };
            if relay.age > SILENCE_MAX {
                oldest_pending = oldest_pending.max(relay.age);
            }
            if relay.oldest_pending > Duration::ZERO {
                oldest_pending = oldest_pending.max(relay.oldest_pending + relay.age);
            }
            let horizon = self.horizons.entry((*service).to_owned()).or_default();
            let (seq, xmin) = *horizon.waiting.get_or_insert((relay.stream_seq, relay.published_xmin));
            if progress.covers(seq) {
                horizon.purged_xmin = horizon.purged_xmin.max(xmin);
                horizon.waiting = Some((relay.stream_seq, relay.published_xmin));
            }
            let newest = self.heard.back().map_or(0, |(seq, _)| *seq);
            if relay.stream_seq > newest && !progress.covers(relay.stream_seq) && self.heard.len() < HEARD_MAX
            {
                self.heard.push_back((relay.stream_seq, now.saturating_sub(relay.age)));
            }
        }
        while self.heard.front().is_some_and(|(seq, _)| progress.covers(*seq)) {
            self.heard.pop_front();
        }
        if let Some((_, since)) = self.heard.front() {
            oldest_pending = oldest_pending.max(now.saturating_sub(*since));
        }
        let configured =
            relays.iter().map(|(service, _)| self.horizons.get(*service).map_or(0, |h| h.purged_xmin));
        Lag { oldest_pending, published_xmin: configured.min().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn log(last_seq: u64) -> LogState {
        LogState { created: CREATED, last_seq, last_time: CREATED }
    }

    #[test]
    fn only_a_log_that_goes_on_keeps_its_epoch() {
        let first = Coherence::after(None, log(7), Continuity::Unbroken);
        assert_eq!(first, Coherence { epoch: 1, log: log(7) });
        let epoch = |seen, continuity| Coherence::after(Some(first), seen, continuity).epoch;
        assert_eq!(epoch(log(7), Continuity::Unbroken), 1);
        assert_eq!(epoch(log(8), Continuity::Unbroken), 1);
        assert_eq!(epoch(log(6), Continuity::Unbroken), 2, "it went back");
        assert_eq!(epoch(log(8), Continuity::Broken), 2, "it went back and grew again");
        let other = LogState { created: CREATED + Duration::from_secs(1), ..log(100) };
        assert_eq!(epoch(other, Continuity::Unbroken), 2, "another log");
        assert_eq!(first.renewed(), Coherence { epoch: 2, log: log(7) });
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn relay(age: Duration, oldest_pending: Duration, stream_seq: u64, published_xmin: u64) -> RelayState {
        RelayState { age, oldest_pending, stream_seq, published_xmin }
    }

    #[test]
    fn a_relay_that_is_silent_counts_as_pending_since_then() {
        let mut pipeline = Pipeline::default();
        let mut oldest = |now, state| pipeline.lag(now, &[("catalog", state)], Progress::All).oldest_pending;
        assert_eq!(oldest(ms(0), None), ms(2_000), "never heard");
        assert_eq!(oldest(ms(5_000), None), ms(5_000), "never heard, and for long");
        assert_eq!(oldest(ms(5_100), Some(relay(ms(10), ms(0), 0, 9))), ms(0));
        assert_eq!(oldest(ms(5_100), Some(relay(ms(1_000), ms(0), 0, 9))), ms(0));
        assert_eq!(oldest(ms(5_100), Some(relay(ms(1_300), ms(0), 0, 9))), ms(1_300));
    }

    #[test]
    fn what_a_relay_has_pending_ages_between_its_heartbeats() {
        let mut pipeline = Pipeline::default();
        let lag = pipeline.lag(ms(0), &[("catalog", Some(relay(ms(200), ms(300), 0, 9)))], Progress::All);
        assert_eq!(lag.oldest_pending, ms(500));
    }

    #[test]
    fn every_configured_relay_counts() {
        let mut pipeline = Pipeline::default();
        let relays = [("catalog", Some(relay(ms(0), ms(0), 3, 90))), ("orders", None)];
        let lag = pipeline.lag(ms(10_000), &relays, Progress::All);
        assert_eq!(lag, Lag { oldest_pending: ms(10_000), published_xmin: 0 });
        let relays =
            [("catalog", Some(relay(ms(0), ms(0), 3, 90))), ("orders", Some(relay(ms(0), ms(0), 4, 80)))];
        let lag = pipeline.lag(ms(10_000), &relays, Progress::All);
        assert_eq!(lag, Lag { oldest_pending: ms(0), published_xmin: 80 });
    }

    #[test]
    fn events_on_the_stream_are_pending_until_they_are_purged() {
        let mut pipeline = Pipeline::default();
        let mut lag = |now, seq, xmin, progress| {
            pipeline.lag(now, &[("catalog", Some(relay(ms(0), ms(0), seq, xmin)))], progress)
        };
        assert_eq!(lag(ms(0), 10, 100, Progress::All), Lag { oldest_pending: ms(0), published_xmin: 100 });
        // 11 to 15 are on the stream; the consumer stands still.
        assert_eq!(
            lag(ms(250), 15, 110, Progress::UpTo(10)),
            Lag { oldest_pending: ms(0), published_xmin: 100 }
        );
        assert_eq!(lag(ms(500), 15, 110, Progress::UpTo(10)).oldest_pending, ms(250));
        assert_eq!(
            lag(ms(750), 18, 120, Progress::UpTo(14)),
            Lag { oldest_pending: ms(500), published_xmin: 100 }
        );
        assert_eq!(
            lag(ms(1_000), 18, 120, Progress::UpTo(15)),
            Lag { oldest_pending: ms(250), published_xmin: 110 },
            "what is left was first heard of at 750"
        );
        assert_eq!(
            lag(ms(1_250), 18, 130, Progress::All),
            Lag { oldest_pending: ms(0), published_xmin: 120 }
        );
    }
}
