//! When a delivery that failed is tried again.

use time::Duration;

/// The pauses after the first, second, … failed attempt: ten attempts over 75 hours and a half.
///
/// It is the schedule that the Standard Webhooks specification recommends, so that receivers find what they know.
pub const RETRY_DELAYS: [Duration; 9] = [
    Duration::seconds(5),
    Duration::minutes(5),
    Duration::minutes(30),
    Duration::hours(2),
    Duration::hours(5),
    Duration::hours(10),
    Duration::hours(14),
    Duration::hours(20),
    Duration::hours(24),
];

/// Attempts before a delivery is dead.
pub const ATTEMPTS_MAX: u32 = RETRY_DELAYS.len() as u32 + 1;

/// Pauses vary by as much as a tenth: what failed together does not come back together.
const JITTER: f64 = 0.1;

/// The pause after `attempts` failed ones, `None` when that was the last. `sway` is between -1 and 1.
///
/// A receiver may ask for a longer pause (`Retry-After`), but for none that is longer than the longest here: it
/// does not decide how long we remember.
pub(crate) fn pause(attempts: u32, sway: f64, retry_after: Option<Duration>) -> Option<Duration> {
    let planned = RETRY_DELAYS.get(usize::try_from(attempts.checked_sub(1)?).ok()?)?;
    let longest = RETRY_DELAYS.iter().max().copied().unwrap_or(*planned);
    let asked = retry_after.unwrap_or(Duration::ZERO).min(longest);
    Some((*planned * (1.0 + JITTER * sway.clamp(-1.0, 1.0))).max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_take_75_hours() {
        let pauses = (1..ATTEMPTS_MAX).map(|attempts| pause(attempts, 0.0, None).expect("not the last"));
        let whole: Duration = pauses.sum();
        assert_eq!((ATTEMPTS_MAX, whole.whole_hours()), (10, 75));
        assert_eq!(pause(ATTEMPTS_MAX, 0.0, Some(Duration::HOUR)), None, "a receiver gets no eleventh");
        assert_eq!(pause(0, 0.0, None), None);
    }

    #[test]
    fn pauses_sway_by_a_tenth() {
        assert_eq!(pause(4, 1.0, None), Some(Duration::minutes(132)));
        assert_eq!(pause(4, -1.0, None), Some(Duration::minutes(108)));
        assert_eq!(pause(4, 7.0, None), Some(Duration::minutes(132)));
    }

    #[test]
    fn receivers_may_ask_for_longer_pauses_up_to_a_day() {
        let after = |asked| pause(2, 0.0, Some(asked));
        assert_eq!(after(Duration::SECOND), Some(Duration::minutes(5)), "none shorter than planned");
        assert_eq!(after(Duration::HOUR), Some(Duration::HOUR));
        assert_eq!(after(Duration::days(365)), Some(Duration::hours(24)));
    }
}
