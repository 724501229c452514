//! Tells what happens, and keeps the state file equal to what was told.

use std::path::Path;
use std::time::{Duration, Instant};

use data_plane::StartError;

use crate::folder::Folder;
use crate::probe;
use crate::up::state::State;
use crate::up::table::{Line, Table};

#[derive(Debug)]
pub(crate) struct Narrator {
    folder: Folder,
    table: Table,
    /// Changes go to the file with the next line or process.
    pub(crate) state: State,
}

impl Narrator {
    /// Says that a start begins.
    pub(crate) fn begin(folder: &Folder, table: Table) -> anyhow::Result<Self> {
        let mut narrator = Self { folder: folder.clone(), table, state: State::starting() };
        narrator.say(Line::Shop { version: env!("CARGO_PKG_VERSION").to_owned() })?;
        Ok(narrator)
    }

    /// Says what will stay true while the shop runs.
    pub(crate) fn say(&mut self, line: Line) -> anyhow::Result<()> {
        self.table.show(&line);
        self.state.lines.push(line);
        self.state.save(&self.folder)
    }

    /// Says what concerns this moment only.
    pub(crate) fn mention(&mut self, line: &Line) {
        self.table.show(line);
    }

    pub(crate) fn started(&mut self, service: &str, pid: u32) -> anyhow::Result<()> {
        self.set_pid(service, Some(pid))
    }

    pub(crate) fn ended(&mut self, service: &str) -> anyhow::Result<()> {
        self.set_pid(service, None)
    }

    pub(crate) fn crashed(
        &mut self,
        service: String,
        why: String,
        last_lines: Vec<String>,
        retry_in: Duration,
    ) {
        let log = self.folder.logs().join(format!("{service}.log")).display().to_string();
        let retry_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
        self.mention(&Line::Crashed { service, why, last_lines, log, retry_ms });
    }

    pub(crate) fn recovered(&mut self, service: String, took: Duration) {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.mention(&Line::Recovered { service, took_ms });
    }

    /// Says that a server of the data plane ended by itself and is being started again.
    pub(crate) fn server_ended(&mut self, server: &str, log: &Path) {
        self.mention(&Line::Crashed {
            service: server.to_owned(),
            why: "ended by itself".to_owned(),
            last_lines: Vec::new(),
            log: log.display().to_string(),
            retry_ms: 0,
        });
    }

    pub(crate) fn server_came_back(&mut self, server: &str, outcome: Result<(), StartError>, begun: Instant) {
        match outcome {
            Ok(()) => self.recovered(server.to_owned(), begun.elapsed()),
            Err(error) => self.mention(&Line::Note { text: format!("{server} does not start: {error}") }),
        }
    }

    /// Says why a service is not ready, in its own words.
    pub(crate) async fn explain(&mut self, service: &str) {
        let Some(process) = self.state.services.iter().find(|process| process.name == service) else {
            return;
        };
        if let Err(why) = probe::ready(process.internal_http).await {
            self.mention(&Line::Note { text: format!("{service} is not ready: {why}") });
        }
    }

    fn set_pid(&mut self, service: &str, pid: Option<u32>) -> anyhow::Result<()> {
        for process in &mut self.state.services {
            if process.name == service {
                process.pid = pid;
            }
        }
        self.state.save(&self.folder)
    }
}
