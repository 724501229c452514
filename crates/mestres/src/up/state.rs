//! Who runs the local shop, and what it is: a lock that dies with its holder, and a file that others read.

use std::fs::{File, OpenOptions, TryLockError};
use std::net::SocketAddr;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::private_file;
use crate::up::table::Line;

/// The right to run, or to delete, this folder's shop. The system takes it back when the process ends, however
/// it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: File,
}

impl Lock {
    /// `None` while another process holds it.
    pub(crate) fn take(folder: &Folder) -> anyhow::Result<Option<Self>> {
        let path = folder.lock();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _held: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(refusal)) => {
                Err(refusal).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Starting,
    Ready,
}

/// A service's process, for those who want to look at it or to kill it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    /// Absent between a crash and the next start.
    pub(crate) pid: Option<u32>,
    /// Where it answers `/health/ready` and `/metrics`.
    pub(crate) internal_http: SocketAddr,
}

/// The running shop as told to other processes; readable by its owner alone, since `exports` holds passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Of `mestres up`.
    pub(crate) pid: u32,
    pub(crate) phase: Phase,
    /// What the start has said so far.
    pub(crate) lines: Vec<Line>,
    pub(crate) services: Vec<Process>,
    /// What `mestres env` prints: variable, value.
    pub(crate) exports: Vec<(String, String)>,
}

impl State {
    pub(crate) fn starting() -> Self {
        Self {
            pid: std::process::id(),
            phase: Phase::Starting,
            lines: Vec::new(),
            services: Vec::new(),
            exports: Vec::new(),
        }
    }

    pub(crate) fn save(&self, folder: &Folder) -> anyhow::Result<()> {
        private_file::write(&folder.state(), &serde_json::to_vec_pretty(self)?)
    }

    /// `None` when there is no state, or none that this version understands.
    pub(crate) fn load(folder: &Folder) -> Option<Self> {
        let stored = std::fs::read(folder.state()).ok()?;
        serde_json::from_slice(&stored).ok()
    }

    /// Says that nothing runs any more.
    pub(crate) fn remove(folder: &Folder) {
        // Whoever finds a stale file also finds the lock free, and trusts the lock.
        let _stale = std::fs::remove_file(folder.state());
    }

    /// The value of one variable of `mestres env`.
    pub(crate) fn export(&self, variable: &str) -> Option<&str> {
        self.exports.iter().find(|(name, _)| name == variable).map(|(_, value)| value.as_str())
    }

    /// The state of the shop that runs now: somebody holds the lock and has said what runs.
    pub(crate) fn of_running(folder: &Folder) -> anyhow::Result<Option<Self>> {
        if !folder.lock().exists() || Lock::take(folder)?.is_some() {
            return Ok(None);
        }
        Ok(Self::load(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Folder) {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::of(home.path());
        folder.create().unwrap();
        (home, folder)
    }

    #[test]
    fn only_one_holds_the_lock_until_it_lets_go() {
        let (_home, folder) = scratch();

        let first = Lock::take(&folder).unwrap();
        assert!(first.is_some());
        assert!(Lock::take(&folder).unwrap().is_none());

        drop(first);
        assert!(Lock::take(&folder).unwrap().is_some());
    }

    #[test]
    fn what_a_dead_shop_left_behind_does_not_count_as_running() {
        let (_home, folder) = scratch();
        let lock = Lock::take(&folder).unwrap();
        let state = State {
            services: vec![Process {
                name: "catalog".to_owned(),
                pid: Some(7),
                internal_http: ([127, 0, 0, 1], 9001).into(),
            }],
            exports: vec![("REDIS_URL".to_owned(), "redis://127.0.0.1:56379".to_owned())],
            lines: vec![Line::Ready { took_ms: 10 }],
            ..State::starting()
        };
        state.save(&folder).unwrap();
        assert_eq!(State::of_running(&folder).unwrap(), Some(state));

        drop(lock);
        assert_eq!(State::of_running(&folder).unwrap(), None);
    }

    #[test]
    fn a_damaged_state_is_no_state() {
        let (_home, folder) = scratch();
        std::fs::write(folder.state(), "{").unwrap();
        assert_eq!(State::load(&folder), None);
    }
}
