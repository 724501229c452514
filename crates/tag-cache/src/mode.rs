//! Is the purge pipeline live, and what may each class serve when it is not?
//!
//! Pure state over moments of the monotonic clock: heartbeats and progress go in, a mode comes out. The
//! moment until which everything is in order is computed when something *happens*, so that the usual
//! request compares one integer with its clock, and silence ends the permission by itself.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;
use crate::lookup::Class;

/// How much this gateway knows about the purges that were committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Heartbeats arrive, the log is applied within 200 ms, no committed change waits longer than 1 s.
    Live,
    /// Heartbeats arrive, but purges are late.
    Lagging,
    /// No heartbeat for 1 s, or the log lost messages and no new epoch was announced yet.
    Suspect,
    /// Reading what was missed.
    Resync,
}

impl Mode {
    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Lagging => "lagging",
            Self::Suspect => "suspect",
            Self::Resync => "resync",
        }
    }
}

/// What a request of some class may do in some mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Take what the cache holds.
    Serve,
    /// Take what the cache holds if the tag versions in the shared store allow it, else the origin.
    Verify,
    /// The origin; one flight for all who ask.
    OriginShared,
    /// The origin, each request for itself.
    OriginAlone,
}

/// No heartbeat for this long: the pipeline may be cut.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// A heartbeat named a sequence and it is not applied after this long: purges are late.
const BEHIND_MAX: Duration = Duration::from_millis(200);
/// A committed change waits for its way into the log for this long: purges are late.
const PENDING_MAX: Duration = Duration::from_secs(1);
/// Bounded routes serve from memory alone this long after the pipeline was last known to be live.
const BOUNDED_TRUST: Duration = Duration::from_secs(10);

/// Everything that is known about the pipeline.
#[derive(Debug)]
pub(crate) struct Pipeline {
    log: LogState,
    heartbeat: Option<Moment>,
    oldest_pending: Duration,
    /// Sequences that heartbeats named and that are not applied yet, oldest first.
    targets: VecDeque<Target>,
    live_until: Moment,
    /// The last moment the pipeline was known to be live, as far as events told.
    last_live: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    sequence: u64,
    named_at: Moment,
}

/// What the follower knows about the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogState {
    /// Not reading: starting, reconnecting.
    Detached,
    /// Reading what was missed, up to this sequence.
    Replaying { until: u64 },
    /// Reading at the end.
    Attached,
    /// The log does not continue what was applied; only a new epoch helps.
    Broken,
}

/// One heartbeat, as the pipeline sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    /// When it was sent, as far as can be told: arrival minus the delay beyond the usual.
    pub(crate) sent_at: Moment,
    pub(crate) last_sequence: u64,
    pub(crate) oldest_pending: Duration,
}

impl Pipeline {
    /// A heartbeat names one sequence; a second's worth of them is remembered. More would only repeat that
    /// the oldest is overdue.
    const TARGETS_MAX: usize = 8;

    pub(crate) fn new() -> Self {
        Self {
            log: LogState::Detached,
            heartbeat: None,
            oldest_pending: Duration::ZERO,
            targets: VecDeque::with_capacity(Self::TARGETS_MAX),
            live_until: Moment::NEVER,
            last_live: Moment::NEVER,
        }
    }

    /// Until when everything is in order if nothing more is heard.
    pub(crate) fn live_until(&self) -> Moment {
        self.live_until
    }

    pub(crate) fn log(&self) -> LogState {
        self.log
    }

    /// The sequence whose application would improve the state.
    pub(crate) fn awaited(&self) -> Option<u64> {
        let replayed = match self.log {
            LogState::Replaying { until } => Some(until),
            LogState::Detached | LogState::Attached | LogState::Broken => None,
        };
        replayed.into_iter().chain(self.targets.front().map(|target| target.sequence)).min()
    }

    /// How long the oldest sequence that a heartbeat named has not been applied.
    pub(crate) fn behind(&self, now: Moment) -> Duration {
        self.targets.front().map_or(Duration::ZERO, |target| now.since(target.named_at))
    }

    pub(crate) fn pulse(&mut self, now: Moment, pulse: Pulse, applied: u64) {
        self.heartbeat = Some(self.heartbeat.map_or(pulse.sent_at, |last| last.max(pulse.sent_at)));
        self.oldest_pending = pulse.oldest_pending;
        let known = self.targets.back().map_or(applied, |target| target.sequence);
        if pulse.last_sequence > known && self.targets.len() < Self::TARGETS_MAX {
            self.targets.push_back(Target { sequence: pulse.last_sequence, named_at: now });
        }
        self.settle(now);
    }

    pub(crate) fn set_log(&mut self, now: Moment, log: LogState, applied: u64) {
        self.log = log;
        self.applied(now, applied);
    }

    /// A new epoch: what heartbeats of the old one said about sequences means nothing.
    pub(crate) fn forget_targets(&mut self, now: Moment) {
        self.targets.clear();
        self.log = LogState::Detached;
        self.settle(now);
    }

    pub(crate) fn applied(&mut self, now: Moment, sequence: u64) {
        if matches!(self.log, LogState::Replaying { until } if sequence >= until) {
            self.log = LogState::Attached;
        }
        while self.targets.front().is_some_and(|target| target.sequence <= sequence) {
            self.targets.pop_front();
        }
        self.settle(now);
    }

    fn settle(&mut self, now: Moment) {
        self.last_live = self.last_live(now);
        self.live_until = match (self.log, self.heartbeat) {
            (LogState::Attached, Some(heartbeat)) if self.oldest_pending <= PENDING_MAX => {
                let silence = heartbeat.plus(SILENCE_MAX);
                self.targets.front().map_or(silence, |target| silence.min(target.named_at.plus(BEHIND_MAX)))
            }
            _ => Moment::NEVER,
        };
    }

    fn last_live(&self, now: Moment) -> Moment {
        self.last_live.max(self.live_until.min(now))
    }

    pub(crate) fn mode(&self, now: Moment) -> Mode {
        if now < self.live_until {
            return Mode::Live;
        }
        let silent = self.heartbeat.is_none_or(|heartbeat| now.since(heartbeat) >= SILENCE_MAX);
        match self.log {
            LogState::Broken => Mode::Suspect,
            _ if silent => Mode::Suspect,
            LogState::Detached | LogState::Replaying { .. } => Mode::Resync,
            LogState::Attached => Mode::Lagging,
        }
    }

    pub(crate) fn permit(&self, class: Class, now: Moment) -> Permit {
        let recently_live = now.since(self.last_live(now)) <= BOUNDED_TRUST;
        match (self.mode(now), class) {
            (Mode::Live, _) | (_, Class::Relaxed) => Permit::Serve,
            (Mode::Lagging | Mode::Resync, Class::Strict) => Permit::OriginShared,
            (Mode::Suspect, Class::Strict) => Permit::OriginAlone,
            (Mode::Lagging, Class::Bounded) => Permit::Serve,
            // While replaying after a long silence the gap is as wide as the silence was.
            (Mode::Suspect | Mode::Resync, Class::Bounded) if recently_live => Permit::Serve,
            (Mode::Suspect | Mode::Resync, Class::Bounded) => Permit::Verify,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LogState, Mode, Permit, Pipeline, Pulse};
    use crate::clock::Moment;
    use crate::lookup::Class;

    const START: Moment = Moment::NEVER.plus(Duration::from_secs(1_000_000));

    fn after(ms: u64) -> Moment {
        START.plus(Duration::from_millis(ms))
    }

    fn pulse(ms: u64, last_sequence: u64) -> Pulse {
        Pulse { sent_at: after(ms), last_sequence, oldest_pending: Duration::ZERO }
    }

    /// Attached at sequence 10, heartbeat at 0 ms.
    fn live() -> Pipeline {
        let mut pipeline = Pipeline::new();
        pipeline.set_log(START, LogState::Attached, 10);
        pipeline.pulse(START, pulse(0, 10), 10);
        pipeline
    }

    #[test]
    fn nothing_is_known_at_the_start() {
        let pipeline = Pipeline::new();
        assert_eq!(pipeline.mode(START), Mode::Suspect);
        assert_eq!(pipeline.permit(Class::Strict, START), Permit::OriginAlone);
        assert_eq!(pipeline.permit(Class::Bounded, START), Permit::Verify);
    }

    #[test]
    fn silence_of_a_second_is_suspect_without_any_event() {
        let pipeline = live();
        assert_eq!(pipeline.mode(after(999)), Mode::Live);
        assert_eq!(pipeline.mode(after(1_000)), Mode::Suspect);
        assert_eq!(pipeline.live_until(), after(1_000));
    }

    #[test]
    fn a_named_sequence_has_200_ms_to_be_applied() {
        let mut pipeline = live();
        pipeline.pulse(after(250), pulse(250, 12), 10);
        assert_eq!(pipeline.mode(after(449)), Mode::Live);
        assert_eq!(pipeline.mode(after(450)), Mode::Lagging);
        assert_eq!(pipeline.awaited(), Some(12));
        pipeline.applied(after(500), 11);
        assert_eq!(pipeline.mode(after(500)), Mode::Lagging);
        pipeline.applied(after(510), 12);
        assert_eq!(pipeline.mode(after(510)), Mode::Live);
        assert_eq!(pipeline.awaited(), None);
    }

    #[test]
    fn each_named_sequence_has_its_own_200_ms() {
        let mut pipeline = live();
        pipeline.pulse(after(100), pulse(100, 12), 10);
        pipeline.pulse(after(200), pulse(200, 13), 10);
        pipeline.applied(after(250), 12);
        assert_eq!(pipeline.mode(after(399)), Mode::Live);
        assert_eq!(pipeline.mode(after(400)), Mode::Lagging, "13 was named at 200 ms");
    }

    #[test]
    fn a_committed_change_that_waits_is_lag() {
        let mut pipeline = live();
        let late = Pulse { oldest_pending: Duration::from_millis(1_001), ..pulse(100, 10) };
        pipeline.pulse(after(100), late, 10);
        assert_eq!(pipeline.mode(after(101)), Mode::Lagging);
        pipeline.pulse(after(350), pulse(350, 10), 10);
        assert_eq!(pipeline.mode(after(351)), Mode::Live);
    }

    #[test]
    fn a_heartbeat_that_was_held_up_counts_from_when_it_was_sent() {
        let mut pipeline = live();
        pipeline.pulse(after(5_000), pulse(4_100, 10), 10);
        assert_eq!(pipeline.mode(after(5_099)), Mode::Live);
        assert_eq!(pipeline.mode(after(5_100)), Mode::Suspect);
    }

    #[test]
    fn a_replay_ends_where_the_log_ended_when_it_began() {
        let mut pipeline = live();
        pipeline.set_log(after(10), LogState::Detached, 10);
        assert_eq!(pipeline.mode(after(11)), Mode::Resync);
        pipeline.set_log(after(20), LogState::Replaying { until: 20 }, 10);
        pipeline.applied(after(30), 19);
        assert_eq!(pipeline.mode(after(31)), Mode::Resync);
        pipeline.applied(after(40), 20);
        assert_eq!(pipeline.mode(after(41)), Mode::Live);
    }

    #[test]
    fn a_replay_of_nothing_is_over_at_once() {
        let mut pipeline = live();
        pipeline.set_log(after(10), LogState::Replaying { until: 10 }, 10);
        assert_eq!(pipeline.mode(after(11)), Mode::Live);
    }

    #[test]
    fn a_broken_log_is_suspect_however_lively_the_heartbeat() {
        let mut pipeline = live();
        pipeline.set_log(after(10), LogState::Broken, 10);
        pipeline.pulse(after(20), pulse(20, 10), 10);
        assert_eq!(pipeline.mode(after(21)), Mode::Suspect);
    }

    #[test]
    fn the_table_of_classes() {
        let check = |pipeline: &Pipeline, ms: u64, expected: [Permit; 3]| {
            let permits = [Class::Strict, Class::Bounded, Class::Relaxed]
                .map(|class| pipeline.permit(class, after(ms)));
            assert_eq!(permits, expected, "{pipeline:?} at {ms} ms");
        };
        use Permit::{OriginAlone, OriginShared, Serve, Verify};

        check(&live(), 500, [Serve, Serve, Serve]);

        // Live until 1 000 ms, so bounded routes serve from memory until 11 000.
        check(&live(), 1_500, [OriginAlone, Serve, Serve]);
        check(&live(), 11_000, [OriginAlone, Serve, Serve]);
        check(&live(), 11_001, [OriginAlone, Verify, Serve]);

        let mut lagging = live();
        lagging.pulse(after(100), pulse(100, 99), 10);
        check(&lagging, 500, [OriginShared, Serve, Serve]);

        let mut resync = live();
        resync.set_log(after(100), LogState::Detached, 10);
        check(&resync, 500, [OriginShared, Serve, Serve]);
        resync.pulse(after(60_000), pulse(60_000, 10), 10);
        check(&resync, 60_500, [OriginShared, Verify, Serve]);
    }
}
