//! What the three servers have in common: start on a port, answer, end, and come back on the same port.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::account::Account;
use crate::command::{CommandError, tail};
use crate::leftover::PidFile;
use crate::place::{PlaceError, beside};
use crate::port::Port;
use crate::supervised::{Launch, Lifeline, Supervised};

const READY: Duration = Duration::from_secs(20);
const PROBE: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_millis(1_800);
const LOG_LINES: usize = 20;
/// A port that was free may be taken before the server has it; on the same data a server just killed may
/// still hold something.
const TRIES: u32 = 6;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process runs a server on this folder.
    #[error("{} is in use by another process", data_dir.display())]
    InUse {
        /// The folder.
        data_dir: PathBuf,
    },
    /// The folder was written by another major version of PostgreSQL.
    #[error(
        "the data in {} is of PostgreSQL {found}, the program is {program}: remove it or use that version",
        data_dir.display()
    )]
    OtherMajor {
        /// The folder.
        data_dir: PathBuf,
        /// The version that wrote it.
        found: String,
        /// The version of the program.
        program: u32,
    },
    /// No port of those allowed is free.
    #[error("no free port for {server} among {port:?}")]
    NoPort {
        /// Which server.
        server: &'static str,
        /// What was allowed.
        port: Port,
    },
    /// The server ended before it answered.
    #[error("{server} ended during its start on port {port} ({status}); its last lines:\n{log}")]
    Ended {
        /// Which server.
        server: &'static str,
        /// The port it was to use.
        port: u16,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// The server runs but did not answer in time.
    #[error("{server} did not answer on port {port} within {} s; its last lines:\n{log}", READY.as_secs())]
    Silent {
        /// Which server.
        server: &'static str,
        /// The port it was to use.
        port: u16,
        /// The last lines of its log.
        log: String,
    },
    /// A step before the server's own start failed.
    #[error("cannot {step}")]
    Prepare {
        /// What was being attempted.
        step: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StartError {
    pub(crate) fn prepare(
        step: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Prepare { step: step.into(), source: source.into() }
    }
}

impl From<PlaceError> for StartError {
    fn from(error: PlaceError) -> Self {
        Self::prepare("find a folder for the data", error)
    }
}

impl From<CommandError> for StartError {
    fn from(error: CommandError) -> Self {
        Self::prepare("make a PostgreSQL data folder", error)
    }
}

/// How a server shows that it really answers, and that it is ours and not another one on the same port.
#[derive(Clone, Debug)]
pub(crate) enum Probe {
    PostgreSql { password: Option<String> },
    Redis,
    Nats { server_name: String },
}

impl Probe {
    async fn answers(&self, port: u16, server: Pid) -> bool {
        let answer = async {
            match self {
                Self::PostgreSql { password } => {
                    crate::postgres::answers(port, server, password.as_deref()).await
                }
                Self::Redis => redis_answers(port, server).await,
                Self::Nats { server_name } => nats_answers(port, server_name).await,
            }
        };
        timeout(PROBE, answer).await.unwrap_or(Ok(false)).unwrap_or(false)
    }
}

async fn redis_answers(port: u16, server: Pid) -> io::Result<bool> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    stream.write_all(b"INFO server\r\n").await?;
    let wanted = format!("process_id:{server}");
    let mut lines = stream.lines();
    // The section has some thirty lines and the connection stays open after it: the caller's deadline ends
    // this loop when the line is not there.
    while let Some(line) = lines.next_line().await? {
        if line.starts_with("process_id:") {
            return Ok(line == wanted);
        }
        if line.starts_with('-') {
            return Ok(false);
        }
    }
    Ok(false)
}

/// NATS greets first. It says there who it is and whether JetStream is up, and answers a ping once it serves.
async fn nats_answers(port: u16, server_name: &str) -> io::Result<bool> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let ours = format!(r#""server_name":"{server_name}""#);
    if !line.starts_with("INFO ") || !line.contains(&ours) || !line.contains(r#""jetstream":true"#) {
        return Ok(false);
    }
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").await?;
    line.clear();
    stream.read_line(&mut line).await?;
    Ok(line == "PONG\r\n")
}

/// What to start and how to know it.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    /// Everything but the port, which follows as the last two arguments.
    pub(crate) args: Vec<OsString>,
    pub(crate) port_flag: &'static str,
    pub(crate) account: Account,
    pub(crate) data_dir: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) polite: Signal,
    /// What ends the server at once, and all its processes with it.
    pub(crate) abrupt: Signal,
    pub(crate) probe: Probe,
}

/// The right to start a server on a folder, for as long as this process holds it.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: File,
    pid_file: PidFile,
}

impl Claim {
    /// Takes the folder for this process and stops a server that an earlier owner left on it.
    pub(crate) async fn take(data_dir: &Path, polite: Signal) -> Result<Self, StartError> {
        let cannot = |error: io::Error| StartError::prepare(format!("claim {}", data_dir.display()), error);
        if let Some(parent) = data_dir.parent() {
            fs::create_dir_all(parent).map_err(cannot)?;
        }
        let lock = File::create(beside(data_dir, ".lock")).map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StartError::InUse { data_dir: data_dir.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let pid_file = PidFile::beside(data_dir);
        pid_file.stop_leftover(polite).await.map_err(cannot)?;
        Ok(Self { _lock: lock, pid_file })
    }
}

/// A server that answers, or did until it was killed.
#[derive(Debug)]
pub(crate) struct Server {
    spec: Spec,
    port: u16,
    process: Option<Supervised>,
    claim: Claim,
}

impl Server {
    /// Starts a server and returns when it answers.
    pub(crate) async fn start(spec: Spec, port: Port, claim: Claim) -> Result<Self, StartError> {
        let mut tries_left = TRIES;
        loop {
            tries_left -= 1;
            let number = port.pick().ok_or(StartError::NoPort { server: spec.name, port })?;
            match launch(&spec, number, &claim).await {
                Ok(process) => return Ok(Self { spec, port: number, process: Some(process), claim }),
                Err(error) if tries_left > 0 && may_pass(&error) => {
                    tokio::time::sleep(POLL * 10).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.spec.data_dir
    }

    pub(crate) fn log(&self) -> &Path {
        &self.spec.log
    }

    /// The process id of the server itself, while it has not been killed or stopped by us.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid().as_raw().cast_unsigned())
    }

    /// Whether the server has ended, by us or by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        match &mut self.process {
            Some(process) => !matches!(process.ended(), Ok(None)),
            None => true,
        }
    }

    /// Ends the server at once, without a chance to write anything down, and returns when it is gone.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        match self.process.take() {
            Some(mut process) => process.crash(self.spec.abrupt, PATIENCE).await,
            None => Ok(()),
        }
    }

    /// Sends SIGKILL and returns when the process is gone.
    pub(crate) fn kill_now(&mut self) -> io::Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Ends the server in order; the port and the data stay ours for [`Server::restart`].
    pub(crate) async fn pause(&mut self) -> io::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.stop(PATIENCE).await
    }

    /// Starts the server again on the same port and data, and returns when it answers.
    pub(crate) async fn restart(&mut self) -> Result<(), StartError> {
        self.pause().await.map_err(|error| StartError::prepare("stop before the restart", error))?;
        let mut tries_left = TRIES;
        loop {
            tries_left -= 1;
            match launch(&self.spec, self.port, &self.claim).await {
                Ok(process) => {
                    self.process = Some(process);
                    return Ok(());
                }
                Err(error) if tries_left > 0 && may_pass(&error) => {
                    tokio::time::sleep(POLL * 20).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the server in order within two seconds, else by force.
    pub(crate) async fn stop(mut self) -> io::Result<()> {
        self.pause().await?;
        self.claim.pid_file.remove();
        Ok(())
    }

    /// Takes the right to the running server out.
    pub(crate) fn into_lifeline(self) -> Option<Lifeline> {
        self.process.and_then(Supervised::into_lifeline)
    }
}

/// One start: spawn, note the process id, wait for an answer.
async fn launch(spec: &Spec, port: u16, claim: &Claim) -> Result<Supervised, StartError> {
    let mut args = spec.args.clone();
    args.extend([spec.port_flag.into(), port.to_string().into()]);
    let started_at = fs::metadata(&spec.log).map_or(0, |log| log.len());
    let launch = Launch {
        program: &spec.program,
        args: &args,
        account: spec.account,
        polite: spec.polite,
        dir: &spec.data_dir,
        log: &spec.log,
    };
    let cannot = |error: io::Error| StartError::prepare(format!("start {}", spec.program.display()), error);
    let mut process = Supervised::spawn(launch).map_err(cannot)?;
    claim.pid_file.write(process.pid()).map_err(cannot)?;

    let deadline = Instant::now() + READY;
    loop {
        let log = || log_since(&spec.log, started_at);
        if let Some(status) = process.ended().map_err(cannot)? {
            return Err(StartError::Ended { server: spec.name, port, status, log: log() });
        }
        if spec.probe.answers(port, process.pid()).await {
            return Ok(process);
        }
        if Instant::now() >= deadline {
            return Err(StartError::Silent { server: spec.name, port, log: log() });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the same start may well work a moment later: the port was taken in between, or the remains of a
/// killed PostgreSQL still hold its shared memory.
fn may_pass(error: &StartError) -> bool {
    let StartError::Ended { log, .. } = error else { return false };
    let log = log.to_lowercase();
    ["address already in use", "pre-existing shared memory", "lock file \"postmaster.pid\" already exists"]
        .iter()
        .any(|sign| log.contains(sign))
}

fn log_since(path: &Path, start: u64) -> String {
    let all = fs::read(path).unwrap_or_default();
    let from = usize::try_from(start).unwrap_or(0).min(all.len());
    tail(&String::from_utf8_lossy(&all[from..]), LOG_LINES)
}
