//! Stops asking a store that does not answer, and tries it again ever more rarely.

use std::time::Duration;

use crate::clock::Moment;

/// Closed: ask. Open: do not. Half-open: one question decides.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Moment,
    },
    /// A probe is out; if its owner vanishes without an answer another may go after `until`.
    HalfOpen {
        until: Moment,
    },
}

/// What a question's outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    None,
    Opened,
    Closed,
}

impl Breaker {
    const FAILURES_MAX: u32 = 5;
    const PAUSE_MIN: Duration = Duration::from_secs(1);
    const PAUSE_MAX: Duration = Duration::from_secs(60);

    pub(crate) const fn new() -> Self {
        Self { state: State::Closed { failures: 0 }, pause: Self::PAUSE_MIN }
    }

    /// Whether a question may be asked now. After a pause exactly one caller gets `true`: the probe.
    pub(crate) fn admit(&mut self, now: Moment) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } | State::HalfOpen { until } if now < until => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { until: now.plus(Self::PAUSE_MIN) };
                true
            }
        }
    }

    pub(crate) fn succeeded(&mut self) -> Transition {
        let before = std::mem::replace(&mut self.state, State::Closed { failures: 0 });
        self.pause = Self::PAUSE_MIN;
        match before {
            State::Closed { .. } => Transition::None,
            State::Open { .. } | State::HalfOpen { .. } => Transition::Closed,
        }
    }

    pub(crate) fn failed(&mut self, now: Moment) -> Transition {
        match self.state {
            State::Closed { failures } if failures + 1 < Self::FAILURES_MAX => {
                self.state = State::Closed { failures: failures + 1 };
                Transition::None
            }
            State::Closed { .. } => {
                self.state = State::Open { until: now.plus(self.pause) };
                Transition::Opened
            }
            State::HalfOpen { .. } => {
                self.pause = (self.pause * 2).min(Self::PAUSE_MAX);
                self.state = State::Open { until: now.plus(self.pause) };
                Transition::None
            }
            // An answer to a question from before it opened.
            State::Open { .. } => Transition::None,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Breaker, Transition};
    use crate::clock::Moment;

    fn at(ms: u64) -> Moment {
        Moment::NEVER.plus(Duration::from_millis(1_000_000 + ms))
    }

    fn opened_at_zero() -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..4 {
            assert_eq!(breaker.failed(at(0)), Transition::None);
        }
        assert_eq!(breaker.failed(at(0)), Transition::Opened);
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let mut breaker = Breaker::new();
        for _ in 0..10 {
            for _ in 0..4 {
                breaker.failed(at(0));
            }
            breaker.succeeded();
        }
        assert!(breaker.admit(at(0)), "a success in between starts the count anew");
        assert!(!opened_at_zero().admit(at(0)));
    }

    #[test]
    fn one_probe_after_a_second_and_success_closes_it() {
        let mut breaker = opened_at_zero();
        assert!(!breaker.admit(at(999)));
        assert!(breaker.admit(at(1_000)));
        assert!(!breaker.admit(at(1_000)), "one probe only");
        assert_eq!(breaker.succeeded(), Transition::Closed);
        assert!(breaker.admit(at(1_001)));
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_up_to_a_minute() {
        let mut breaker = opened_at_zero();
        let mut now = at(1_000);
        for pause_s in [2, 4, 8, 16, 32, 60, 60] {
            assert!(breaker.admit(now));
            assert_eq!(breaker.failed(now), Transition::None, "one log line per transition");
            assert!(!breaker.admit(now.plus(Duration::from_millis(pause_s * 1_000 - 1))));
            now = now.plus(Duration::from_secs(pause_s));
        }
    }

    #[test]
    fn a_probe_that_never_answers_does_not_block_the_next() {
        let mut breaker = opened_at_zero();
        assert!(breaker.admit(at(1_000)));
        assert!(breaker.admit(at(2_000)));
    }

    #[test]
    fn late_failures_do_not_extend_the_pause() {
        let mut breaker = opened_at_zero();
        breaker.failed(at(900));
        assert!(breaker.admit(at(1_000)));
    }
}
