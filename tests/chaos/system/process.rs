//! The processes of the product: started, killed, stopped, and started again when they end by themselves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Part;
use crate::product;

/// One that ends at its start is not started again at once.
const REVIVE_AFTER: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Processes {
    folder: PathBuf,
    http: reqwest::Client,
    /// What ended by a signal that nobody sent.
    crashes: Mutex<Vec<String>>,
    all: Mutex<BTreeMap<Part, Process>>,
}

#[derive(Debug)]
struct Process {
    environment: Vec<(&'static str, String)>,
    internal: SocketAddr,
    life: Life,
}

#[derive(Debug)]
enum Life {
    /// Nobody wants it to run.
    Down,
    Up {
        child: Child,
        is_armed: bool,
    },
    /// It ended by itself at that moment.
    Ended(Instant),
}

impl Processes {
    pub(super) fn new(folder: &Path, http: reqwest::Client) -> Self {
        Self { folder: folder.to_owned(), http, crashes: Mutex::default(), all: Mutex::default() }
    }

    pub(super) fn add(&self, part: Part, internal: SocketAddr, mut environment: Vec<(&'static str, String)>) {
        environment.push(("MESTRES_INTERNAL_HTTP_ADDR", internal.to_string()));
        // It ends with us: its standard input closes when we are gone, even by a kill.
        environment.push(("MESTRES_SUPERVISED", "1".to_owned()));
        self.lock().insert(part, Process { environment, internal, life: Life::Down });
    }

    pub(super) fn internal(&self, part: Part) -> SocketAddr {
        self.lock()[&part].internal
    }

    /// Starts it, at the same addresses as ever.
    pub(super) fn spawn(&self, part: Part, failpoints: Option<&str>) -> Result<()> {
        let path = self.log_path(part);
        let mut all = self.lock();
        let process = all.get_mut(&part).context("no such process")?;
        ensure!(!matches!(process.life, Life::Up { .. }), "{part} runs already");
        start(process, part, failpoints, &path)
    }

    /// SIGKILL: no goodbye.
    pub(super) fn kill(&self, part: Part) -> Result<()> {
        let mut all = self.lock();
        let process = all.get_mut(&part).context("no such process")?;
        if let Life::Up { mut child, .. } = std::mem::replace(&mut process.life, Life::Down) {
            child.kill().and_then(|()| child.wait()).with_context(|| format!("cannot kill {part}"))?;
        }
        Ok(())
    }

    pub(super) fn signal(&self, part: Part, signal: Signal) -> Result<()> {
        let all = self.lock();
        // What is dead hears nothing, and needs not.
        let Some(Process { life: Life::Up { child, .. }, .. }) = all.get(&part) else { return Ok(()) };
        let pid = Pid::from_raw(i32::try_from(child.id()).context("a process id")?);
        kill(pid, signal).with_context(|| format!("cannot signal {part}"))
    }

    /// What crashed since this was last asked.
    pub(super) fn take_crashes(&self) -> Vec<String> {
        std::mem::take(&mut self.crashes.lock().expect("nobody panics with it"))
    }

    /// Starts what ended by itself again, as an orchestrator would.
    pub(super) fn revive(&self) -> Result<()> {
        for (part, process) in self.lock().iter_mut() {
            match &mut process.life {
                Life::Up { child, is_armed } => {
                    let Some(status) = child.try_wait().with_context(|| format!("cannot wait for {part}"))?
                    else {
                        continue;
                    };
                    // Armed to abort, it did what it was told.
                    if status.signal().is_some() && !*is_armed {
                        let crash = format!("{part} crashed: {status}");
                        self.crashes.lock().expect("nobody panics with it").push(crash);
                    }
                    process.life = Life::Ended(Instant::now());
                }
                Life::Ended(at) if at.elapsed() >= REVIVE_AFTER => {
                    start(process, *part, None, &self.log_path(*part))?;
                }
                Life::Ended(_) | Life::Down => {}
            }
        }
        Ok(())
    }

    pub(super) async fn wait_until_ready(&self, part: Part, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let Err(said) = self.is_ready(part).await else { return Ok(()) };
            if Instant::now() > deadline {
                let log = self.log(part);
                let tail: Vec<&str> = log.lines().rev().take(10).collect();
                bail!("{part} is not ready after {within:?}: {said}\n{}", tail.join("\n"));
            }
            self.revive()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether it says so; else what it says.
    pub(super) async fn is_ready(&self, part: Part) -> Result<(), String> {
        let (url, word) = match part {
            // It has one address for everything.
            Part::Provider => (format!("{}/__sandbox/config", self.provider_url()), "webhooks"),
            _ => (format!("http://{}/health/ready", self.internal(part)), r#""status":"ready""#),
        };
        let asked = async { self.http.get(&url).send().await?.text().await };
        let said = asked.await.map_err(|error| error.to_string())?;
        if said.contains(word) { Ok(()) } else { Err(said) }
    }

    fn provider_url(&self) -> String {
        let all = self.lock();
        let address =
            all[&Part::Provider].environment.iter().find(|(name, _)| *name == "MESTRES_SANDBOX_ADDR");
        format!("http://{}", address.map_or("", |(_, address)| address))
    }

    pub(super) fn log(&self, part: Part) -> String {
        std::fs::read_to_string(self.log_path(part)).unwrap_or_default()
    }

    pub(super) fn log_mark(&self, part: Part) -> u64 {
        std::fs::metadata(self.log_path(part)).map_or(0, |file| file.len())
    }

    pub(super) fn log_since(&self, part: Part, mark: u64) -> String {
        let mut said = Vec::new();
        let read = File::open(self.log_path(part)).and_then(|mut file| {
            file.seek(SeekFrom::Start(mark))?;
            file.read_to_end(&mut said)
        });
        // One that has said nothing yet may have no log.
        read.map_or_else(|_none| String::new(), |_bytes| String::from_utf8_lossy(&said).into_owned())
    }

    fn log_path(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{part}.log"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Part, Process>> {
        self.all.lock().expect("nobody panics with it")
    }
}

fn start(process: &mut Process, part: Part, failpoints: Option<&str>, log: &Path) -> Result<()> {
    let file = File::options().create(true).append(true).open(log).context("no log")?;
    let child = Command::new(product::binary())
        .args(["serve", part.role()])
        .env_clear()
        .envs(process.environment.iter().map(|(name, value)| (name, value)))
        .envs(failpoints.map(|points| ("MESTRES_FAILPOINTS", points)))
        .stdin(Stdio::piped())
        .stdout(file.try_clone().context("no log")?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {part}"))?;
    process.life = Life::Up { child, is_armed: failpoints.is_some() };
    Ok(())
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in self.lock().values_mut() {
            if let Life::Up { child, .. } = &mut process.life {
                // One that is gone already needs no end.
                let _ = child.kill().and_then(|()| child.wait());
            }
        }
    }
}
