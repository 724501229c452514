//! Time inside one cache: milliseconds on the monotonic clock, as integers that fit an atomic.

use std::time::{Duration, Instant};

/// A moment on the cache's monotonic clock, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Long before the cache started.
    pub(crate) const NEVER: Self = Self(0);

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// Zero when `earlier` is later.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    pub(crate) const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    pub(crate) const fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

/// Whole milliseconds, at most `u64::MAX`.
pub(crate) const fn millis(span: Duration) -> u64 {
    let wide = span.as_millis();
    if wide > u64::MAX as u128 { u64::MAX } else { wide as u64 }
}

/// Reads the monotonic clock. Wall clocks jump; nothing that decides about serving reads one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Moments before the start must be representable: an entry read from the shared store may be older
    /// than this process. One year is far beyond any lifetime.
    const HEAD_START: u64 = 365 * 24 * 3_600 * 1_000;

    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    #[inline]
    pub(crate) fn now(&self) -> Moment {
        self.at(Instant::now())
    }

    #[inline]
    pub(crate) fn at(&self, instant: Instant) -> Moment {
        Moment(Self::HEAD_START + millis(instant.saturating_duration_since(self.start)))
    }
}
