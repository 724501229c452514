//! A private NATS with JetStream.

use std::io;
use std::path::{Path, PathBuf};
use std::{fmt::Write as _, fs};

use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};

use crate::account::Account;
use crate::place::{beside, place};
use crate::port::Port;
use crate::server::{Claim, Probe, Server, Spec, StartError};
use crate::supervised::Lifeline;
use crate::tools::Tools;
use crate::version::Version;

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// Where configuration and streams are kept. Moved where [`place`] says.
    pub data_dir: PathBuf,
    /// Where the server's output is appended; beside the folder when unset.
    pub log: Option<PathBuf>,
    /// Where to listen.
    pub port: Port,
    /// What all streams together may take on disk, in MiB.
    pub storage_mib: u32,
}

impl NatsOptions {
    /// Room for every declared stream, on any port.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), log: None, port: Port::Any, storage_mib: 8 * 1024 }
    }
}

/// A running NATS. Dropping it stops the server in the background; [`Nats::stop`] waits for that.
#[derive(Debug)]
pub struct Nats {
    server: Server,
    version: Version,
}

impl Nats {
    /// Starts a server and returns when it answers and JetStream is up.
    ///
    /// # Errors
    /// When the folder is in use, no port is free, or the server does not come up; then the error holds the end
    /// of its log.
    pub async fn start(tools: &Tools, options: &NatsOptions) -> Result<Self, StartError> {
        let data_dir = place(&options.data_dir)?.dir;
        let account = Account::of_servers();
        let claim = Claim::take(&data_dir, Signal::SIGTERM).await?;
        let server_name = server_name(&data_dir);
        let config = data_dir.join("nats.conf");
        account
            .make_private_dir(&data_dir)
            .and_then(|()| fs::write(&config, configuration(&server_name, &data_dir, options.storage_mib)))
            .and_then(|()| account.own(&config))
            .map_err(|error| StartError::prepare(format!("write {}", config.display()), error))?;

        let spec = Spec {
            name: "NATS",
            program: tools.nats.path.clone(),
            args: vec!["-a".into(), "127.0.0.1".into(), "-c".into(), config.into()],
            port_flag: "-p",
            account,
            log: options.log.clone().unwrap_or_else(|| beside(&data_dir, ".log")),
            data_dir,
            polite: Signal::SIGTERM,
            abrupt: Signal::SIGKILL,
            probe: Probe::Nats { server_name },
        };
        let server = Server::start(spec, options.port, claim).await?;
        Ok(Self { server, version: tools.nats.version })
    }

    /// `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.server.port())
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

    /// Ends the server by SIGKILL and returns when it is gone. Streams stay on disk, without what the system
    /// had not yet been given.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.server.kill().await
    }

    /// [`Nats::kill`] for destructors: blocks for the milliseconds that takes.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill_now(&mut self) -> io::Result<()> {
        self.server.kill_now()
    }

    /// Starts the server again on the same port and streams, and returns when it answers. Stops it first when
    /// it still runs.
    ///
    /// # Errors
    /// As [`Nats::start`].
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

/// A name of its own for each folder: by it the server is told from another one on the same port.
fn server_name(data_dir: &Path) -> String {
    let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    digest[..6].iter().fold("mestres-".to_owned(), |mut name, byte| {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// Only what NATS 2.9.10 knows too, the oldest version we run on.
fn configuration(server_name: &str, data_dir: &Path, storage_mib: u32) -> String {
    let store = data_dir.join("jetstream").display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "server_name: \"{server_name}\"\n\
         jetstream {{\n  store_dir: \"{store}\"\n  max_file_store: {storage_mib}MB\n}}\n"
    )
}
