//! Named points where a test can stop, delay or kill a process exactly there.
//!
//! Nothing unless built with the feature `enabled`. Then `MESTRES_FAILPOINTS` arms points when the first one is
//! passed: `name=action[*times];…`, with the actions
//!
//! - `abort`: the process ends at once, as a crash would;
//! - `error`: the point answers [`Injected`] instead of going on;
//! - `sleep(ms)`: it prints `SLEEP <name>` to standard error and goes on that much later;
//! - `pause`: it prints `AT <name>` to standard error and waits to be killed.
//!
//! With `*times` the point acts so many times and is passed from then on. A text that cannot be read ends the process,
//! and so does any text in a build without the feature ([`arm`]): a test that armed nothing would prove nothing.

#[cfg(any(feature = "enabled", test))]
mod armed;
mod start;

pub use start::{Unarmed, arm};

/// What an armed point answers instead of going on; names the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failpoint {0}")]
pub struct Injected(pub &'static str);

/// For those whose errors are about connections: it looks like one that broke.
impl From<Injected> for std::io::Error {
    fn from(injected: Injected) -> Self {
        Self::other(injected)
    }
}

/// Passes the point `name`.
///
/// # Errors
/// When a test armed it with `error`.
#[cfg(not(feature = "enabled"))]
#[inline(always)]
pub async fn hit(_name: &'static str) -> Result<(), Injected> {
    Ok(())
}

/// Passes the point `name`.
///
/// # Errors
/// When a test armed it with `error`.
#[cfg(feature = "enabled")]
pub async fn hit(name: &'static str) -> Result<(), Injected> {
    armed::points().hit(name).await
}
