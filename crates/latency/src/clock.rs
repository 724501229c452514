//! The clock of the recording path: a raw reading of the time stamp counter.
//!
//! Two readings and their difference cost about a tenth of two `Instant`s, which is more than everything else on
//! the path together. Where the processor has no invariant counter, `quanta` falls back to the system's
//! monotonic clock by itself.

use std::{sync::LazyLock, time::Duration};

/// Calibrated once, on first use, which takes up to 200 ms: [`crate::Recorder::new`] does it before traffic comes.
static CLOCK: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);

/// One reading of the monotonic clock. Cheap to take and to copy.
#[derive(Clone, Copy, Debug)]
pub struct Reading(u64);

impl Reading {
    /// The time now. Take it at the first byte of a request, so that parsing and queueing are measured too.
    #[inline]
    pub fn now() -> Reading {
        Reading(CLOCK.raw())
    }

    /// Time since this reading, in nanoseconds.
    #[inline]
    pub fn elapsed_ns(self) -> u64 {
        CLOCK.delta_as_nanos(self.0, CLOCK.raw())
    }

    /// Time since this reading.
    #[inline]
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(self.elapsed_ns())
    }
}
