//! Which programs to run: a ladder whose first rung that has a good one wins, for each server by itself.
//!
//! 1. Wheels pinned by hash, installed by pip into the tool folder ([`wheels`]): the same versions for everybody.
//! 2. Programs on PATH and in the known places of systems, when new enough ([`system`]).
//! 3. Debian's packages, as root ([`apt`]).
//!
//! Addresses in the environment come before all of them and are the caller's affair.

mod apt;
mod system;
mod wheels;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
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
        let mut tried = Vec::new();
        let mut found: Vec<(Role, Tool)> = Vec::new();

        let dir = match place(&search.tool_dir) {
            Ok(place) => {
                if let Some(moved) = &place.moved {
                    progress(moved);
                }
                Some(place.dir)
            }
            Err(error) => {
                tried.push(format!("  tool folder: {}", chain(&error)));
                None
            }
        };
        if let Some(dir) = &dir {
            wheels(dir, search.install, &mut found, &mut tried, progress).await;
        }
        system_programs(&mut found, &mut tried, progress).await;
        if search.install == Install::Allowed && !missing(&found).is_empty() {
            match apt::install(&missing(&found), progress).await {
                Ok(apt::Outcome::Installed) => system_programs(&mut found, &mut tried, progress).await,
                Ok(apt::Outcome::DoesNotApply(why)) => tried.push(format!("  apt: {why}")),
                Err(error) => tried.push(format!("  apt: {}", chain(&error))),
            }
        }

        let missing = missing(&found);
        let mut take = |role| {
            let index = found.iter().position(|(of, _)| *of == role)?;
            Some(found.swap_remove(index).1)
        };
        match (dir, take(Role::Postgres), take(Role::Redis), take(Role::Nats)) {
            (Some(dir), Some(postgres), Some(redis), Some(nats)) => Ok(Self { dir, postgres, redis, nats }),
            _ => Err(NotFound { line: line_to_type(&missing), missing, tried }),
        }
    }
}

/// The rung of the wheels: what is installed, and what is missing when fetching is allowed.
async fn wheels(
    dir: &Path,
    install: Install,
    found: &mut Vec<(Role, Tool)>,
    tried: &mut Vec<String>,
    progress: &mut (dyn FnMut(&str) + Send),
) {
    for role in Role::ALL {
        let result = match (wheels::installed(dir, role), install) {
            (Some(tool), _) => Ok(tool),
            (None, Install::Allowed) => wheels::install(dir, role, progress).await,
            (None, Install::Refused) => {
                tried.push(format!("  {}: no wheel in {}", role.package(), dir.display()));
                continue;
            }
        };
        match result {
            Ok(tool) => {
                progress(&tool.said());
                found.push((role, tool));
            }
            Err(error) => {
                let said = format!("{} as a wheel: {}", role.package(), chain(&error));
                progress(&said);
                tried.push(format!("  {said}"));
            }
        }
    }
}

/// The rung of the programs that the system has.
async fn system_programs(
    found: &mut Vec<(Role, Tool)>,
    tried: &mut Vec<String>,
    progress: &mut (dyn FnMut(&str) + Send),
) {
    for role in missing(found) {
        let (tool, passed_over) = system::find(role).await;
        tried.extend(passed_over.into_iter().map(|why| format!("  {why}")));
        match tool {
            Some(tool) => {
                progress(&tool.said());
                found.push((role, tool));
            }
            None => tried.push(format!("  {}: none on PATH or in the known places", role.package())),
        }
    }
}

fn missing(found: &[(Role, Tool)]) -> Vec<Role> {
    Role::ALL.into_iter().filter(|role| found.iter().all(|(of, _)| of != role)).collect()
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
