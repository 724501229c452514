//! Is this process ready for traffic?
//!
//! Liveness is not asked here: a process that answers at all is alive.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures_util::future::join_all;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// A dependency that does not answer within this time counts as failed.
const CHECK_DEADLINE: Duration = Duration::from_secs(1);

/// The readiness of a process. Cheap to clone; all clones share the same checks.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<RwLock<Vec<Check>>>,
    draining: CancellationToken,
}

/// What [`Health::ready`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The verdict over all checks.
    pub status: Status,
    /// One entry per registered check, in the order of registration.
    pub checks: Vec<CheckReport>,
}

/// The verdict over all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything answers.
    Ready,
    /// An optional dependency is away: slower, still right, still in service.
    Degraded,
    /// A required dependency is away: no traffic, please.
    Unready,
    /// The process is stopping: no traffic, please.
    Draining,
}

/// One check's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// As registered.
    pub name: &'static str,
    /// Whether it passed.
    pub status: CheckStatus,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Whether a check passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// The dependency answers.
    Ok,
    /// It does not, and the process cannot do without it.
    Failed,
    /// It does not, and the process can do without it.
    Degraded,
}

type Probe = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Check {
    name: &'static str,
    need: Need,
    probe: Probe,
}

#[derive(Clone, Copy)]
enum Need {
    Required,
    Optional,
}

impl Health {
    /// Ready at once, until checks are registered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a dependency without which the process takes no traffic. The probe has 1 s.
    pub fn check<F, P>(&self, name: &'static str, probe: F) -> &Self
    where
        F: Fn() -> P + Send + Sync + 'static,
        P: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.register(name, Need::Required, probe)
    }

    /// Registers a dependency whose absence only degrades the process. The probe has 1 s.
    pub fn optional<F, P>(&self, name: &'static str, probe: F) -> &Self
    where
        F: Fn() -> P + Send + Sync + 'static,
        P: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.register(name, Need::Optional, probe)
    }

    /// From now on the report says `draining`, whatever the checks say.
    pub fn set_draining(&self) {
        self.draining.cancel();
    }

    /// Waits until [`Self::set_draining`] is called.
    pub(crate) async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Runs all checks at the same time, for at most 1 s.
    pub async fn ready(&self) -> Report {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let checks = join_all(checks.iter().map(Check::run)).await;
        let found = |status| checks.iter().any(|check| check.status == status);
        let status = if self.draining.is_cancelled() {
            Status::Draining
        } else if found(CheckStatus::Failed) {
            Status::Unready
        } else if found(CheckStatus::Degraded) {
            Status::Degraded
        } else {
            Status::Ready
        };
        Report { status, checks }
    }

    fn register<F, P>(&self, name: &'static str, need: Need, probe: F) -> &Self
    where
        F: Fn() -> P + Send + Sync + 'static,
        P: Future<Output = Result<(), String>> + Send + 'static,
    {
        let probe: Probe = Arc::new(move || Box::pin(probe()));
        let mut checks = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        checks.push(Check { name, need, probe });
        self
    }
}

impl Check {
    async fn run(&self) -> CheckReport {
        let outcome = tokio::time::timeout(CHECK_DEADLINE, (self.probe)()).await;
        let error = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_elapsed) => Some(format!("no answer within {} ms", CHECK_DEADLINE.as_millis())),
        };
        let status = match (&error, self.need) {
            (None, _) => CheckStatus::Ok,
            (Some(_), Need::Required) => CheckStatus::Failed,
            (Some(_), Need::Optional) => CheckStatus::Degraded,
        };
        CheckReport { name: self.name, status, error }
    }
}

impl Report {
    /// Whether traffic is welcome: ready or degraded.
    pub fn takes_traffic(&self) -> bool {
        match self.status {
            Status::Ready | Status::Degraded => true,
            Status::Unready | Status::Draining => false,
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Health")
            .field("checks", &checks.iter().map(|check| check.name).collect::<Vec<_>>())
            .field("draining", &self.draining.is_cancelled())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_required_failure_outweighs_an_optional_one() {
        let health = Health::new();
        assert_eq!(health.ready().await.status, Status::Ready);

        health.check("postgres", async || Ok(())).optional("redis", async || Err("refused".to_owned()));
        let report = health.ready().await;
        assert_eq!(report.status, Status::Degraded);
        assert!(report.takes_traffic());
        assert_eq!(report.checks[1].error.as_deref(), Some("refused"));

        health.check("nats", async || Err("away".to_owned()));
        let report = health.ready().await;
        assert_eq!(report.status, Status::Unready);
        assert!(!report.takes_traffic());
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_fails_after_a_second_and_does_not_delay_the_others() {
        let health = Health::new();
        health
            .check("stuck", pending::<Result<(), String>>)
            .check("stuck too", pending::<Result<(), String>>);
        let started = tokio::time::Instant::now();
        let report = health.ready().await;
        assert_eq!(started.elapsed(), Duration::from_secs(1));
        assert_eq!(report.checks[1].error.as_deref(), Some("no answer within 1000 ms"));
    }

    #[tokio::test]
    async fn draining_wins_over_every_check() {
        let health = Health::new();
        health.check("postgres", async || Ok(()));
        health.clone().set_draining();
        let report = health.ready().await;
        assert_eq!(report.status, Status::Draining);
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"status":"draining","checks":[{"name":"postgres","status":"ok"}]}"#
        );
    }
}
