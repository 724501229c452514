//! Waiting for something that will be true, without sleeping for a guess.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// Calls `probe` until it answers `Some`, soon at first and then every 50 ms, and returns that answer.
///
/// # Panics
/// When it has not within `within`; the message names `what`. A probe that hangs is cut off then, too.
pub async fn eventually<T>(within: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    let mut pause = FIRST_PAUSE;
    let mut probes = 0_u32;
    loop {
        probes += 1;
        if let Ok(Some(answer)) = timeout_at(deadline, probe()).await {
            return answer;
        }
        assert!(Instant::now() + pause < deadline, "not within {within:?} ({probes} looks): {what}");
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}
