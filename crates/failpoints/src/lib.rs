//! Named points where a test can stop, delay or kill a process exactly there. Nothing unless built with the
//! feature `enabled`.

/// What an armed point answers instead of going on.
#[derive(Debug, thiserror::Error)]
#[error("failpoint {0}")]
pub struct Injected(pub &'static str);

/// Passes the point `name`.
///
/// # Errors
/// When a test armed it with `error`.
#[cfg(not(feature = "enabled"))]
#[inline(always)]
pub async fn hit(_name: &'static str) -> Result<(), Injected> {
    Ok(())
}
