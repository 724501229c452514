//! The circuit breaker around the provider (S244 to S247): after five failures it asks for nothing for a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const THRESHOLD: u32 = 5;
/// How long it stays open, give or take a fifth: processes that opened together must not ask together.
const RESET_AFTER: Duration = Duration::from_secs(60);
const SWAY: f64 = 0.2;
/// A probe that never tells how it went counts as failed after this long.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// Counts failures, and refuses when there were too many. Reckons by a clock that nobody can set. Clones are the
/// same breaker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breaker(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    state: State,
    failures: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// One call is let through; others wait for how it goes.
    HalfOpen {
        probed: Instant,
    },
}

/// The breaker is open: nothing was asked of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Circuit breaker is OPEN")]
pub(crate) struct Open {
    /// When asking again makes sense.
    pub(crate) retry_after: Duration,
}

impl Breaker {
    /// Lets a call through, or not. Whoever is let through says how it went.
    pub(crate) fn admit(&self) -> Result<(), Open> {
        let now = Instant::now();
        let mut inner = self.lock();
        match inner.state {
            State::Closed => return Ok(()),
            State::Open { until } if now < until => return Err(Open { retry_after: until - now }),
            State::HalfOpen { probed } if now < probed + PROBE_MAX => {
                return Err(Open { retry_after: Duration::from_secs(1) });
            }
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
        inner.state = State::HalfOpen { probed: now };
        Ok(())
    }

    /// Whether a call would be refused now; lets none through.
    pub(crate) fn check(&self) -> Result<(), Open> {
        let now = Instant::now();
        match self.lock().state {
            State::Open { until } if now < until => Err(Open { retry_after: until - now }),
            State::HalfOpen { probed } if now < probed + PROBE_MAX => {
                Err(Open { retry_after: Duration::from_secs(1) })
            }
            State::Closed | State::Open { .. } | State::HalfOpen { .. } => Ok(()),
        }
    }

    /// The provider answered, whatever it said.
    pub(crate) fn succeeded(&self) {
        let mut inner = self.lock();
        // The answer to a call from before it opened proves nothing about now.
        if !matches!(inner.state, State::Open { .. }) {
            *inner = Inner::default();
        }
    }

    /// The provider did not answer, or could not.
    pub(crate) fn failed(&self) {
        let sway = 1.0 + SWAY * (fastrand::f64() * 2.0 - 1.0);
        let mut inner = self.lock();
        inner.failures = inner.failures.saturating_add(1);
        let opens = inner.failures >= THRESHOLD || matches!(inner.state, State::HalfOpen { .. });
        if opens && !matches!(inner.state, State::Open { .. }) {
            inner.state = State::Open { until: Instant::now() + RESET_AFTER.mul_f64(sway) };
            tracing::warn!(
                failures = inner.failures,
                "the payment provider fails: its circuit breaker opens"
            );
        }
    }

    /// 0 closed, 1 half open, 2 open: the value of the metric.
    pub(crate) fn gauge(&self) -> u8 {
        match self.lock().state {
            State::Closed => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            breaker.admit().expect("closed");
            breaker.failed();
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_open_it_and_a_minute_later_one_call_probes() {
        let breaker = opened();
        let refused = breaker.admit().expect_err("open");
        assert_eq!((refused.to_string().as_str(), breaker.gauge()), ("Circuit breaker is OPEN", 2));
        tokio::time::advance(Duration::from_secs(47)).await;
        assert!(breaker.admit().is_err(), "never before 48 s");
        tokio::time::advance(Duration::from_secs(26)).await;
        assert!(breaker.admit().is_ok(), "always after 72 s");
        assert!(breaker.admit().is_err(), "one probe only");
        breaker.succeeded();
        assert_eq!(breaker.gauge(), 0);
        for _ in 1..THRESHOLD {
            breaker.failed();
        }
        assert!(breaker.admit().is_ok(), "counting began anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_opens_it_again() {
        let breaker = opened();
        tokio::time::advance(Duration::from_secs(73)).await;
        breaker.admit().expect("the probe");
        breaker.failed();
        assert_eq!(breaker.gauge(), 2);
        assert!(breaker.check().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_vanishes_is_replaced() {
        let breaker = opened();
        tokio::time::advance(Duration::from_secs(73)).await;
        breaker.admit().expect("the probe");
        tokio::time::advance(PROBE_MAX).await;
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_from_before_does_not_close_it() {
        let breaker = opened();
        breaker.succeeded();
        assert_eq!(breaker.gauge(), 2);
    }

    #[test]
    fn answers_between_failures_keep_it_closed() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            breaker.failed();
            breaker.succeeded();
        }
        assert_eq!(breaker.gauge(), 0);
    }
}
