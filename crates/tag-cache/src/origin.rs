//! How many questions to the origin may be out at once.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// A cap with a bounded wait.
#[derive(Debug)]
pub(crate) struct OriginCap {
    calls: Semaphore,
    wait_max: Duration,
}

impl OriginCap {
    pub(crate) fn new(calls_max: usize, wait_max: Duration) -> Self {
        Self { calls: Semaphore::new(calls_max.clamp(1, Semaphore::MAX_PERMITS)), wait_max }
    }

    /// A place for one call, held until dropped.
    pub(crate) async fn enter(&self) -> Result<SemaphorePermit<'_>, FillFailed> {
        match tokio::time::timeout(self.wait_max, self.calls.acquire()).await {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => Err(FillFailed::Overloaded),
        }
    }
}

/// Why the cache has no answer although the origin did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillFailed {
    /// Too many questions to the origin are out; nothing was asked. Worth trying again in a second.
    #[error("the cap on origin calls is reached")]
    Overloaded,
    /// The origin did not answer within the fill deadline; it may still be working.
    #[error("the origin did not answer within the fill deadline")]
    Deadline,
    /// The fetch function panicked, or the runtime is shutting down.
    #[error("the task that asked the origin ended without an answer")]
    Aborted,
}
