//! The clock that decides what is due: the machine's, or one that a test turns.

use std::sync::{Arc, Mutex, PoisonError};

use time::{Duration, OffsetDateTime};
use tokio::sync::Notify;

/// What time it is. Every due time and every lease is reckoned by it, none by the database. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// Stands still until it is turned.
    Manual(ManualClock),
}

/// A clock that stands still until it is turned. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<Mutex<OffsetDateTime>>,
    turned: Arc<Notify>,
}

impl Clock {
    /// Now, to the microsecond: as finely as the database keeps it.
    pub fn now(&self) -> OffsetDateTime {
        let now = match self {
            Self::System => OffsetDateTime::now_utc(),
            Self::Manual(clock) => clock.now(),
        };
        now.replace_nanosecond(now.microsecond() * 1_000).expect("a whole microsecond is a valid nanosecond")
    }

    /// Returns when a manual clock is turned; a system clock never is.
    pub(crate) async fn turned(&self) {
        match self {
            Self::System => std::future::pending().await,
            Self::Manual(clock) => clock.turned.notified().await,
        }
    }
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: OffsetDateTime) -> Self {
        Self { now: Arc::new(Mutex::new(now)), turned: Arc::default() }
    }

    /// What it shows.
    pub fn now(&self) -> OffsetDateTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns it on.
    pub fn advance(&self, by: Duration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += by;
        self.turned.notify_one();
    }
}
