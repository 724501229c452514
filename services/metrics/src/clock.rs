//! The wall clock, which only handlers and background rounds ask.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix time in seconds.
pub(crate) fn now_s() -> u32 {
    u32::try_from(since_epoch().as_secs()).unwrap_or(u32::MAX)
}

/// Unix time in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
