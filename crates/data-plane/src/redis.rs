//! A private Redis or Valkey, in memory only.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::account::Account;
use crate::place::{beside, place};
use crate::port::Port;
use crate::server::{Claim, Probe, Server, Spec, StartError};
use crate::supervised::Lifeline;
use crate::tools::Tools;
use crate::version::Version;

/// What goes when the memory is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// The least often used key of all: for caches.
    AllKeysLfu,
    /// Nothing, writes fail: for state.
    Never,
}

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// The working folder; nothing is saved in it. Moved where [`place`] says.
    pub data_dir: PathBuf,
    /// Where the server's output is appended; beside the folder when unset.
    pub log: Option<PathBuf>,
    /// Where to listen.
    pub port: Port,
    /// `maxmemory`, in MiB.
    pub memory_mib: u32,
    /// What goes when that is full.
    pub eviction: Eviction,
}

impl RedisOptions {
    /// A cache of 256 MiB on any port.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            log: None,
            port: Port::Any,
            memory_mib: 256,
            eviction: Eviction::AllKeysLfu,
        }
    }
}

/// A running Redis or Valkey. Dropping it stops the server in the background; [`Redis::stop`] waits for that.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    version: Version,
}

impl Redis {
    /// Starts a server and returns when it answers.
    ///
    /// # Errors
    /// When the folder is in use, no port is free, or the server does not come up; then the error holds the end
    /// of its log.
    pub async fn start(tools: &Tools, options: &RedisOptions) -> Result<Self, StartError> {
        let data_dir = place(&options.data_dir)?.dir;
        let account = Account::of_servers();
        let claim = Claim::take(&data_dir, Signal::SIGTERM).await?;
        account
            .make_private_dir(&data_dir)
            .map_err(|error| StartError::prepare(format!("make {}", data_dir.display()), error))?;

        let eviction = match options.eviction {
            Eviction::AllKeysLfu => "allkeys-lfu",
            Eviction::Never => "noeviction",
        };
        let memory = format!("{}mb", options.memory_mib);
        let mut args: Vec<OsString> =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
                .into_iter()
                .chain(["--maxmemory", &memory, "--maxmemory-policy", eviction])
                .map(OsString::from)
                .collect();
        args.extend(["--dir".into(), data_dir.clone().into()]);

        let spec = Spec {
            name: "Redis",
            program: tools.redis.path.clone(),
            args,
            port_flag: "--port",
            account,
            log: options.log.clone().unwrap_or_else(|| beside(&data_dir, ".log")),
            data_dir,
            polite: Signal::SIGTERM,
            abrupt: Signal::SIGKILL,
            probe: Probe::Redis,
        };
        let server = Server::start(spec, options.port, claim).await?;
        Ok(Self { server, version: tools.redis.version })
    }

    /// `redis://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.server.port())
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The version of the program.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The process id of the server, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// The folder in use, which is not the one asked for when that could not be reached.
    pub fn data_dir(&self) -> &Path {
        self.server.data_dir()
    }

    /// Where the server's output goes.
    pub fn log(&self) -> &Path {
        self.server.log()
    }

    /// Whether the server has ended, by us or by itself.
    pub fn has_ended(&mut self) -> bool {
        self.server.has_ended()
    }

    /// Ends the server by SIGKILL; all keys are lost. Returns when it is gone.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.server.kill().await
    }

    /// [`Redis::kill`] for destructors: blocks for the milliseconds that takes.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill_now(&mut self) -> io::Result<()> {
        self.server.kill_now()
    }

    /// Starts the server again, empty, on the same port, and returns when it answers. Stops it first when it
    /// still runs.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.server.restart().await
    }

    /// Ends the server in order; by force after two seconds.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub async fn stop(self) -> io::Result<()> {
        self.server.stop().await
    }

    /// Lets the server live as long as somebody holds the returned right, instead of with `self`.
    pub fn into_lifeline(self) -> Option<Lifeline> {
        self.server.into_lifeline()
    }
}
