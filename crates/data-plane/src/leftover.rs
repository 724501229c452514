//! Servers that outlived a crash of everything around them: found again by a pid file, and stopped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::place::beside;

const POLITE: Duration = Duration::from_secs(2);
const FORCED: Duration = Duration::from_secs(2);

/// The file beside a data folder that names the server running on it.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    pub(crate) fn beside(data_dir: &Path) -> Self {
        Self { path: beside(data_dir, ".pid") }
    }

    /// Notes `pid` together with its start time, so that a later process with the same number is not mistaken
    /// for it.
    pub(crate) fn write(&self, pid: Pid) -> io::Result<()> {
        let identity = start_time(pid).unwrap_or_default();
        fs::write(&self.path, format!("{pid} {identity}\n"))
    }

    pub(crate) fn remove(&self) {
        // A file that stays behind names a process that is gone, which the next start sees.
        let _ = fs::remove_file(&self.path);
    }

    /// Stops the server that the file names, if it still runs: `polite` first, SIGKILL after two seconds.
    pub(crate) async fn stop_leftover(&self, polite: Signal) -> io::Result<()> {
        let Ok(text) = fs::read_to_string(&self.path) else { return Ok(()) };
        let Some((pid, identity)) = text.trim_end().split_once(' ') else { return Ok(()) };
        let Ok(pid) = pid.parse::<i32>().map(Pid::from_raw) else { return Ok(()) };
        let still_there = || start_time(pid).is_some_and(|now| now == identity);

        for (signal, patience) in [(polite, POLITE), (Signal::SIGKILL, FORCED)] {
            if !still_there() {
                self.remove();
                return Ok(());
            }
            // It may end by itself between the look and the signal.
            let _ = kill(pid, signal);
            let deadline = tokio::time::Instant::now() + patience;
            while still_there() && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        if still_there() {
            return Err(io::Error::other(format!("process {pid} does not end")));
        }
        self.remove();
        Ok(())
    }
}

/// When the process began, in words of the system that only serve to compare; `None` when there is none, or
/// only its remains that nobody has waited for.
fn start_time(pid: Pid) -> Option<String> {
    if Path::new("/proc/self/stat").exists() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it is in brackets and may hold anything; then come state and further numbers.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, started) = (fields.first()?, fields.get(19)?);
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        return (*state != "Z").then(|| format!("{started} {}", boot.trim()));
    }
    let pid = pid.to_string();
    let printed = Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid]).output().ok()?;
    let line = String::from_utf8(printed.stdout).ok()?;
    let (state, started) = line.trim().split_once(' ')?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}
