//! A server process that dies with its owner.
//!
//! The usual way, a parent-death signal, needs unsafe code and exists on Linux only. Here a shell of twenty
//! lines (`supervise.sh`) starts the server and reads from a pipe whose writing end only the owner has. The
//! system closes that end however the owner dies; the shell then stops the server and, after two seconds,
//! kills it. Owner and shell are in different process groups, so Ctrl-C in a terminal reaches the owner alone,
//! who stops its servers in the order it wants.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use crate::account::Account;

const SCRIPT: &str = include_str!("supervise.sh");
const POLL: Duration = Duration::from_millis(5);

/// The right to a running server: it is stopped when this is dropped, and when the process that holds it dies.
///
/// Hand the descriptor to another process (as one of its standard streams) to let the server live with that
/// process instead.
#[derive(Debug)]
pub struct Lifeline(OwnedFd);

impl From<Lifeline> for Stdio {
    fn from(lifeline: Lifeline) -> Self {
        lifeline.0.into()
    }
}

/// How to start a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [OsString],
    pub(crate) account: Account,
    /// What asks the server to end soon and in order.
    pub(crate) polite: Signal,
    pub(crate) dir: &'a Path,
    pub(crate) log: &'a Path,
}

/// A server and the shell above it.
#[derive(Debug)]
pub(crate) struct Supervised {
    shell: Child,
    server: Pid,
    polite: Signal,
    lifeline: Option<ChildStdin>,
}

impl Supervised {
    /// Starts the server and returns when its process exists.
    pub(crate) fn spawn(launch: Launch<'_>) -> io::Result<Self> {
        if let Some(dir) = launch.log.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let log = File::options().create(true).append(true).open(launch.log)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "supervise", signal_name(launch.polite)]);
        command.arg(launch.program).args(launch.args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        command.current_dir(launch.dir).process_group(0);
        launch.account.run(&mut command);

        let mut shell = command.spawn()?;
        let lifeline = shell.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = shell.stdout.take() {
            // The shell says the number at once or ends, which closes the pipe: this cannot wait.
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let server = line.trim().parse().map(Pid::from_raw).map_err(io::Error::other)?;
        Ok(Self { shell, server, polite: launch.polite, lifeline })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.server
    }

    /// The status of a server that has ended.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.shell.try_wait()
    }

    /// Waits until the server has ended, at most until `deadline`.
    pub(crate) async fn end_before(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            let ended = self.ended()?;
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks the server to end, and kills it when it has not within `patience`.
    pub(crate) async fn stop(&mut self, patience: Duration) -> io::Result<()> {
        self.crash(self.polite, patience).await
    }

    /// Ends the server by `abrupt`, and by SIGKILL when it has not ended within `patience`.
    pub(crate) async fn crash(&mut self, abrupt: Signal, patience: Duration) -> io::Result<()> {
        self.signal(abrupt)?;
        if self.end_before(Instant::now() + patience).await?.is_none() {
            self.kill()?;
        }
        Ok(())
    }

    /// Ends the server with SIGKILL and returns when it is gone. Blocks for the moment that takes.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.shell.wait()?;
        Ok(())
    }

    /// Sends `signal` to the server, unless it has ended.
    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        match kill(self.server, signal) {
            // It ended between the look and the signal.
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the right to the server out; from now on it ends when that goes.
    pub(crate) fn into_lifeline(mut self) -> Option<Lifeline> {
        self.lifeline.take().map(|pipe| Lifeline(pipe.into()))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if matches!(self.shell.try_wait(), Ok(Some(_))) {
            return;
        }
        // Closing the pipe lets the shell stop the server in order; a process that goes on living must then
        // collect the shell, which has a deadline of its own.
        drop(self.lifeline.take());
        let pid = self.shell.id();
        let _ = std::thread::Builder::new()
            .name(format!("collect-{pid}"))
            .spawn(move || nix::sys::wait::waitpid(Pid::from_raw(pid.cast_signed()), None));
    }
}

fn signal_name(signal: Signal) -> &'static str {
    signal.as_str().trim_start_matches("SIG")
}
