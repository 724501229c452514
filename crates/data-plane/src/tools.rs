//! Which programs to run: a ladder whose first rung that has a good one wins, for each server by itself.
//!
//! 1. Wheels pinned by hash, installed by pip into the tool folder ([`wheels`]): the same versions for
//!    everybody.
//! 2. Programs on PATH and in the known places of systems, when new enough ([`system`]). They come first for an
//!    hour after pip has failed: without a network every start would wait for it again.
//! 3. Debian's packages, as root ([`apt`]).
//!
//! Addresses in the environment come before all of them and are the caller's affair.

mod apt;
mod system;
mod wheels;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::place::place;
use crate::version::Version;

const TURN: Duration = Duration::from_secs(400);
const POLL: Duration = Duration::from_millis(50);

/// Whether programs that are missing may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// Into the tool folder, and as root by the system's package manager.
    Allowed,
    /// Only what is there is used.
    Refused,
}

/// Where to look.
#[derive(Clone, Debug)]
pub struct Search {
    /// The folder for what is fetched or prepared once. Moved where [`place`] says.
    pub tool_dir: PathBuf,
    /// Whether to fetch.
    pub install: Install,
}

/// What a program is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The database.
    Postgres,
    /// Redis or Valkey.
    Redis,
    /// NATS with JetStream.
    Nats,
}

impl Role {
    const ALL: [Self; 3] = [Self::Postgres, Self::Redis, Self::Nats];

    /// The name in Debian's packages, and in what we print.
    fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Redis => "redis-server",
            Self::Nats => "nats-server",
        }
    }

    fn brew(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql@18",
            Self::Redis => "valkey",
            Self::Nats => "nats-server",
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL >= 15",
            Self::Redis => "Redis >= 7.0 or Valkey >= 8.0",
            Self::Nats => "NATS >= 2.9.10",
        }
    }
}

/// Where a program was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the tool folder, from a pinned wheel.
    ToolFolder,
    /// On PATH or in a known place.
    System,
}

/// A program that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// "postgres", "redis", "valkey" or "nats".
    pub name: &'static str,
    /// The server's program; PostgreSQL's others are beside it.
    pub path: PathBuf,
    /// What it says it is.
    pub version: Version,
    /// Where it was found.
    pub origin: Origin,
}

impl Tool {
    fn said(&self) -> String {
        let Self { name, version, path, origin } = self;
        match origin {
            Origin::ToolFolder => format!("{name} {version} (tool folder)"),
            Origin::System => format!("{name} {version} ({})", path.display()),
        }
    }
}

/// The programs of all three servers.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The folder in use for what is fetched or prepared once.
    pub dir: PathBuf,
    /// `postgres`, with `initdb` beside it.
    pub postgres: Tool,
    /// `redis-server` or `valkey-server`.
    pub redis: Tool,
    /// `nats-server`.
    pub nats: Tool,
}

/// Programs are missing, and what to type.
#[derive(Debug, thiserror::Error)]
#[error("no {}\n{}\ninstall with: {line}", wanted(missing), tried.join("\n"))]
pub struct NotFound {
    /// What is missing.
    pub missing: Vec<Role>,
    /// What every rung said.
    pub tried: Vec<String>,
    /// The line that installs what is missing on this system.
    pub line: String,
}

impl Tools {
    /// Finds the programs, or fetches them where that is allowed. Every step goes through `progress` when it is
    /// taken. Parallel processes install once, the others wait for it.
    ///
    /// # Errors
    /// When a program is missing at the end of the ladder.
    pub async fn find(search: &Search, progress: &mut (dyn FnMut(&str) + Send)) -> Result<Self, NotFound> {
        let mut hunt =
            Hunt { found: Vec::new(), tried: Vec::new(), progress: Progress(Mutex::new(progress)) };
        let place = match place(&search.tool_dir) {
            Ok(place) => place,
            Err(error) => {
                return Err(NotFound {
                    line: line_to_type(&[]),
                    missing: vec![],
                    tried: vec![chain(&error)],
                });
            }
        };
        if let Some(moved) = &place.moved {
            hunt.progress.say(moved);
        }
        let dir = place.dir;

        let failed_lately: Vec<Role> =
            Role::ALL.into_iter().filter(|role| wheels::failed_lately(&dir, *role)).collect();
        hunt.installed_wheels(&dir);
        if search.install == Install::Allowed {
            hunt.install_wheels(&dir, |role| !failed_lately.contains(&role)).await;
        }
        hunt.system_programs().await;
        if search.install == Install::Allowed && !hunt.missing().is_empty() {
            hunt.install_wheels(&dir, |role| failed_lately.contains(&role)).await;
        }
        if search.install == Install::Allowed && !hunt.missing().is_empty() {
            hunt.apt(&dir).await;
        }

        match (hunt.take(Role::Postgres), hunt.take(Role::Redis), hunt.take(Role::Nats)) {
            (Some(postgres), Some(redis), Some(nats)) => Ok(Self { dir, postgres, redis, nats }),
            (postgres, redis, nats) => {
                let found = [postgres.is_some(), redis.is_some(), nats.is_some()];
                let missing: Vec<Role> = Role::ALL
                    .into_iter()
                    .zip(found)
                    .filter(|(_, found)| !found)
                    .map(|(role, _)| role)
                    .collect();
                Err(NotFound { line: line_to_type(&missing), missing, tried: hunt.tried })
            }
        }
    }
}

/// The caller's callback, for steps that run side by side.
struct Progress<'a>(Mutex<&'a mut (dyn FnMut(&str) + Send)>);

impl Progress<'_> {
    fn say(&self, step: &str) {
        // A callback that panicked is not called again.
        if let Ok(mut progress) = self.0.lock() {
            progress(step);
        }
    }
}

/// One way up the ladder.
struct Hunt<'a> {
    found: Vec<(Role, Tool)>,
    tried: Vec<String>,
    progress: Progress<'a>,
}

impl Hunt<'_> {
    fn missing(&self) -> Vec<Role> {
        Role::ALL.into_iter().filter(|role| self.found.iter().all(|(of, _)| of != role)).collect()
    }

    fn take(&mut self, role: Role) -> Option<Tool> {
        let index = self.found.iter().position(|(of, _)| *of == role)?;
        Some(self.found.swap_remove(index).1)
    }

    fn found(&mut self, role: Role, tool: Tool) {
        self.progress.say(&tool.said());
        self.found.push((role, tool));
    }

    fn installed_wheels(&mut self, dir: &Path) {
        for role in self.missing() {
            if let Some(tool) = wheels::installed(dir, role) {
                self.found(role, tool);
            }
        }
    }

    /// Installs the wheels of those missing roles that `wanted` names, side by side.
    async fn install_wheels(&mut self, dir: &Path, wanted: impl Fn(Role) -> bool) {
        let missing = self.missing();
        let install = async |role: Role| {
            if missing.contains(&role) && wanted(role) {
                Some((role, wheels::install(dir, role, &self.progress).await))
            } else {
                None
            }
        };
        let (postgres, redis, nats) =
            tokio::join!(install(Role::Postgres), install(Role::Redis), install(Role::Nats));
        for (role, result) in [postgres, redis, nats].into_iter().flatten() {
            match result {
                Ok(tool) => self.found(role, tool),
                Err(error) => {
                    let said = format!("{} as a wheel: {}", role.package(), chain(&error));
                    self.progress.say(&said);
                    self.tried.push(format!("  {said}"));
                }
            }
        }
    }

    async fn system_programs(&mut self) {
        for role in self.missing() {
            let (tool, passed_over) = system::find(role).await;
            self.tried.extend(passed_over.into_iter().map(|why| format!("  {why}")));
            match tool {
                Some(tool) => self.found(role, tool),
                None => self.tried.push(format!("  {}: none on PATH or in the known places", role.package())),
            }
        }
    }

    async fn apt(&mut self, dir: &Path) {
        // One process installs; those that wait here find its programs afterwards.
        let _turn = take_turn(&dir.join("apt.lock"), TURN).await;
        self.system_programs().await;
        let missing = self.missing();
        if missing.is_empty() {
            return;
        }
        match apt::install(&missing, &self.progress).await {
            Ok(apt::Outcome::Installed) => self.system_programs().await,
            Ok(apt::Outcome::DoesNotApply(why)) => self.tried.push(format!("  apt: {why}")),
            Err(error) => self.tried.push(format!("  apt: {}", chain(&error))),
        }
    }
}

fn wanted(missing: &[Role]) -> String {
    if missing.is_empty() {
        return "folder for the tools".to_owned();
    }
    missing.iter().map(|role| role.wanted()).collect::<Vec<_>>().join(", ")
}

/// What to type here. Elsewhere than on Debian and macOS the names differ, and so does whether there are any.
fn line_to_type(missing: &[Role]) -> String {
    let packages =
        |name: fn(Role) -> &'static str| missing.iter().map(|role| name(*role)).collect::<Vec<_>>().join(" ");
    if cfg!(target_os = "macos") {
        format!("brew install {}", packages(Role::brew))
    } else if Path::new("/etc/debian_version").exists() {
        format!("sudo apt-get install -y --no-install-recommends {}", packages(Role::package))
    } else {
        "python3 -m ensurepip --user   (then again: the servers come as wheels)".to_owned()
    }
}

/// Locks `path` for this process until the returned file is dropped; waits for other processes that hold it.
pub(crate) async fn take_turn(path: &Path, patience: Duration) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = File::create(path)?;
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("another process holds {} for too long", path.display()),
                ));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
        }
    }
}

/// An error with all its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{NotFound, Role, line_to_type};

    #[test]
    fn what_is_missing_comes_with_the_line_to_type() {
        let missing = vec![Role::Redis, Role::Nats];
        let error =
            NotFound { line: line_to_type(&missing), missing, tried: vec!["  pip: no network".to_owned()] };
        let text = error.to_string();

        assert!(
            text.starts_with("no Redis >= 7.0 or Valkey >= 8.0, NATS >= 2.9.10\n  pip: no network\n"),
            "{text}"
        );
        if Path::new("/etc/debian_version").exists() {
            let line =
                "install with: sudo apt-get install -y --no-install-recommends redis-server nats-server";
            assert!(text.ends_with(line), "{text}");
        }
    }
}
