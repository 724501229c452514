//! Which points are armed, with what, and how often they still act.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Injected;

/// The longest sleep, in milliseconds: longer ones are mistakes.
const SLEEP_MS_MAX: u64 = 600_000;

/// All armed points of a process.
#[derive(Debug, Default)]
pub(crate) struct Points(HashMap<String, Point>);

#[derive(Debug)]
struct Point {
    action: Action,
    /// How many more times it acts.
    left: AtomicU64,
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Abort,
    Error,
    Sleep(Duration),
    Pause,
}

/// The points that the environment arms; read once.
#[cfg(feature = "enabled")]
#[expect(clippy::print_stderr, reason = "nothing else is there when the process ends at once")]
pub(crate) fn points() -> &'static Points {
    static POINTS: std::sync::LazyLock<Points> = std::sync::LazyLock::new(|| {
        Points::parse(&crate::start::text()).unwrap_or_else(|refusal| {
            eprintln!("MESTRES_FAILPOINTS: {refusal}");
            std::process::abort()
        })
    });
    &POINTS
}

impl Points {
    /// Reads `name=action[*times];…`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut points = HashMap::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let point = || format!("`{part}` is not `name=action` or `name=action*times`");
            let (name, action) = part.split_once('=').ok_or_else(point)?;
            let (action, times) = match action.split_once('*') {
                Some((action, times)) => (action, times.trim().parse().map_err(|_no_number| point())?),
                None => (action, u64::MAX),
            };
            let name = name.trim();
            if name.is_empty() || times == 0 {
                return Err(point());
            }
            let action = Action::parse(action.trim())?;
            let twice = points.insert(name.to_owned(), Point { action, left: AtomicU64::new(times) });
            if twice.is_some() {
                return Err(format!("`{name}` is armed twice"));
            }
        }
        Ok(Self(points))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Does what `name` is armed with, if it is.
    pub(crate) async fn hit(&self, name: &'static str) -> Result<(), Injected> {
        let Some(point) = self.0.get(name) else { return Ok(()) };
        let take_one = |left: u64| left.checked_sub(1);
        if point.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take_one).is_err() {
            return Ok(());
        }
        point.action.act(name).await
    }
}

impl Action {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "abort" => Ok(Self::Abort),
            "error" => Ok(Self::Error),
            "pause" => Ok(Self::Pause),
            _ => text
                .strip_prefix("sleep(")
                .and_then(|rest| rest.strip_suffix(')'))
                .and_then(|ms| ms.trim().parse().ok())
                .filter(|ms| *ms <= SLEEP_MS_MAX)
                .map(|ms| Self::Sleep(Duration::from_millis(ms)))
                .ok_or_else(|| {
                    format!(
                        "`{text}` is none of abort, error, pause, sleep(ms) with at most {SLEEP_MS_MAX} ms"
                    )
                }),
        }
    }

    #[expect(clippy::print_stderr, reason = "the harness reads there what a process has passed")]
    async fn act(self, name: &'static str) -> Result<(), Injected> {
        match self {
            Self::Abort => {
                eprintln!("ABORT {name}");
                std::process::abort()
            }
            Self::Error => {
                tracing::warn!(failpoint = name, "an error is injected");
                Err(Injected(name))
            }
            Self::Sleep(how_long) => {
                eprintln!("SLEEP {name}");
                tokio::time::sleep(how_long).await;
                Ok(())
            }
            Self::Pause => {
                eprintln!("AT {name}");
                std::future::pending().await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(text: &str, because: &str) {
        let refusal = Points::parse(text).expect_err(text);
        assert!(refusal.contains(because), "`{text}` was refused with: {refusal}");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        refuses("ck.after_reserve", "name=action");
        refuses("=abort", "name=action");
        refuses("a=abort*many", "a=abort*many");
        refuses("a=abort*0", "a=abort*0");
        refuses("a=explode", "explode");
        refuses("a=sleep(soon)", "sleep(soon)");
        refuses("a=sleep(600001)", "600000");
        refuses("a=error;a=abort", "twice");
    }

    #[tokio::test]
    async fn a_point_acts_as_often_as_it_was_told() {
        let points = Points::parse(" a=error*2; b = error ;;").expect("good");
        assert_eq!(points.count(), 2);
        for expected in [Err(Injected("a")), Err(Injected("a")), Ok(()), Ok(())] {
            assert_eq!(points.hit("a").await, expected);
        }
        for _ in 0..5 {
            assert_eq!(points.hit("b").await, Err(Injected("b")));
        }
        assert_eq!(points.hit("c").await, Ok(()), "not armed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeping_point_goes_on_and_a_paused_one_never() {
        let points = Points::parse("slow=sleep(3000);stop=pause").expect("good");
        let begun = tokio::time::Instant::now();
        assert_eq!(points.hit("slow").await, Ok(()));
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
        let day = Duration::from_secs(86_400);
        tokio::time::timeout(day, points.hit("stop")).await.expect_err("it waits to be killed");
    }
}
