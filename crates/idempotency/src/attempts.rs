//! Trying again what another transaction was in the way of.

use std::time::Duration;

use rls::DatabaseError;
use tokio::time::{Instant, sleep};

/// Tries at one piece of work; one more would hardly fare better.
const MADE_MAX: u32 = 5;
/// With less time than this left, another try would only add load.
const LEFT_MIN: Duration = Duration::from_millis(50);
/// The longest pause after the first try; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(10);

/// Tries at one piece of work of one transaction, all within one deadline.
///
/// ```ignore
/// let mut attempts = Attempts::within(deadline);
/// loop {
///     match db.run(caller, class, attempts.left(), work.clone()).await {
///         Err(error) if is_conflict(&error) && attempts.again().await => {}
///         ended => return ended,
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Attempts {
    by: Instant,
    made: u32,
}

impl Attempts {
    /// The first of them begins now.
    pub fn within(deadline: Duration) -> Self {
        Self { by: Instant::now() + deadline, made: 1 }
    }

    /// What is left of the deadline.
    pub fn left(&self) -> Duration {
        self.by.saturating_duration_since(Instant::now())
    }

    /// Waits a moment and answers whether there is another try: `false` when there were five, or no time is left.
    pub async fn again(&mut self) -> bool {
        let left = self.left();
        if self.made >= MADE_MAX || left < LEFT_MIN {
            return false;
        }
        // At random, so that those who were in each other's way do not come back together.
        let most = PAUSE * 2_u32.pow(self.made - 1);
        sleep(most.mul_f64(fastrand::f64()).min(left / 2)).await;
        self.made += 1;
        true
    }
}

/// Whether another transaction was in the way, so that nothing was done and the same work may be tried again at once.
pub fn is_conflict(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Conflict(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_are_five_tries_within_the_deadline() {
        let mut attempts = Attempts::within(Duration::from_secs(60));
        let begun = Instant::now();
        for _ in 2..=MADE_MAX {
            assert!(attempts.again().await);
        }
        assert!(!attempts.again().await);
        assert!(begun.elapsed() <= PAUSE * 15, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_begun_that_cannot_end_in_time() {
        let mut attempts = Attempts::within(LEFT_MIN + Duration::from_millis(1));
        sleep(Duration::from_millis(2)).await;
        assert!(!attempts.again().await);
        assert!(attempts.left() > Duration::ZERO);
    }
}
