//! A running system with somebody who keeps it alive, from the first process to the verdict.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;

use crate::history::History;
use crate::invariants::Violation;
use crate::report;
use crate::system::System;
use crate::{check, quiet};

const REVIVE_EVERY: Duration = Duration::from_millis(100);

/// A system whose processes are started again when they end.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) system: Arc<System>,
    pub(crate) history: Arc<History>,
    keeper: JoinHandle<()>,
}

impl Session {
    /// Starts everything; `name` is that of its folder.
    pub(crate) async fn start(name: &str) -> Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "chaos/{}-{}-{name}",
            since.as_secs(),
            std::process::id()
        ));
        report::say(&format!("{name}: starting; logs in {}", folder.display()));
        let system = Box::pin(System::start(&folder)).await?;
        check::prepare(&system).await?;
        let history = Arc::new(History::new());
        let keeper = tokio::spawn(keep(Arc::clone(&system), Arc::clone(&history)));
        Ok(Self { system, history, keeper })
    }

    /// Waits until everything is quiet and looks for what must not be. `replay` is printed when there is any.
    pub(crate) async fn judge(&self, seed: u64, replay: &str) -> Result<Vec<Violation>> {
        let violations = self.violations(seed).await?;
        report::verdict(&self.history, &violations, replay, self.system.folder())?;
        Ok(violations)
    }

    /// The same, which says nothing when all is well.
    pub(crate) async fn judge_quietly(&self, seed: u64, replay: &str) -> Result<Vec<Violation>> {
        let violations = self.violations(seed).await?;
        if !violations.is_empty() {
            report::verdict(&self.history, &violations, replay, self.system.folder())?;
        }
        Ok(violations)
    }

    async fn violations(&self, seed: u64) -> Result<Vec<Violation>> {
        let mut violations = Vec::new();
        if let Err(error) = quiet::wait(&self.system, &self.history, seed).await {
            violations.push(Violation { invariant: "not quiet".to_owned(), what: format!("{error:#}") });
        }
        violations.extend(check::run(&self.system, &self.history).await?);
        Ok(violations)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(system: Arc<System>, history: Arc<History>) {
    let mut ticks = tokio::time::interval(REVIVE_EVERY);
    loop {
        ticks.tick().await;
        match system.revive() {
            Ok(crashed) => crashed.into_iter().for_each(|crash| history.violation(crash)),
            Err(error) => history.violation(format!("cannot keep the system alive: {error:#}")),
        }
    }
}
