//! A second `mestres up`: finds the first one's shop and shows it.

use std::time::{Duration, Instant};

use anyhow::bail;
use futures_util::future::join_all;

use crate::folder::Folder;
use crate::probe;
use crate::up::state::{Lock, Phase, State};
use crate::up::table::{Line, Table};

/// A first start may download the servers.
const READY_WITHIN: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);

/// Waits until the shop that somebody else runs is ready, and shows its table with its services as they are now.
pub(crate) async fn show(folder: &Folder, mut table: Table) -> anyhow::Result<()> {
    let state = ready(folder, &mut table).await?;
    let answers = join_all(state.services.iter().map(|process| probe::ready(process.internal_http))).await;
    let healthy_now = answers.iter().filter(|answer| answer.is_ok()).count();

    for line in &state.lines {
        match line {
            Line::Services { names, .. } => {
                table.show(&Line::Services { names: names.clone(), healthy: healthy_now, took_ms: 0 });
            }
            Line::Ready { .. } => table.show(&Line::Running { pid: state.pid }),
            Line::Shop { .. }
            | Line::Note { .. }
            | Line::Data { .. }
            | Line::Schema { .. }
            | Line::Address { .. }
            | Line::Try { .. }
            | Line::Running { .. }
            | Line::Crashed { .. }
            | Line::Recovered { .. }
            | Line::Stopping
            | Line::Stopped { .. } => table.show(line),
        }
    }
    for (process, answer) in state.services.iter().zip(answers) {
        if let Err(why) = answer {
            table.show(&Line::Note { text: format!("{} is not ready: {why}", process.name) });
        }
    }
    Ok(())
}

async fn ready(folder: &Folder, table: &mut Table) -> anyhow::Result<State> {
    let begun = Instant::now();
    let mut said = false;
    while begun.elapsed() < READY_WITHIN {
        if let Some(state) = State::load(folder) {
            if state.phase == Phase::Ready {
                return Ok(state);
            }
            if !said {
                said = true;
                let text =
                    format!("another `mestres up` (process {}) is starting the shop; waiting", state.pid);
                table.show(&Line::Note { text });
            }
        }
        if Lock::take(folder)?.is_some() {
            bail!("the other `mestres up` has ended without a shop; run `mestres up` again");
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("the other `mestres up` is not ready after {READY_WITHIN:?}; see what it prints, or stop it")
}
