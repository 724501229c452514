//! A shop for one benchmark: `mestres up` in a scratch folder, with the checkout's downloaded servers.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// From nothing to ready, generated catalog included.
const READY_WITHIN: Duration = Duration::from_secs(300);

pub(crate) struct Shop {
    up: Child,
    folder: tempfile::TempDir,
    state: Value,
}

impl Shop {
    pub(crate) fn open(products: usize, gateways: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in("/var/tmp").context("a scratch folder")?;
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let tools = checkout.join(".mestres/tools");
        if tools.is_dir() {
            fs::create_dir_all(folder.path().join(".mestres"))?;
            symlink(fs::canonicalize(tools)?, folder.path().join(".mestres/tools"))?;
        }
        let begun = Instant::now();
        let mut up = Command::new(program()?)
            .args(["up", "--products", &products.to_string(), "--gateways", &gateways.to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting `mestres up`")?;
        let mut output = BufReader::new(up.stdout.take().context("a pipe was asked for")?);
        let mut said = String::new();
        while !said.contains("ready in") {
            if output.read_line(&mut said)? == 0 || begun.elapsed() > READY_WITHIN {
                bail!("`mestres up` did not become ready:\n{said}");
            }
        }
        std::thread::spawn(move || output.lines().count());
        let state = serde_json::from_slice(&fs::read(folder.path().join(".mestres/run/state.json"))?)?;
        Ok(Self { up, folder, state })
    }

    /// Address and process of each gateway.
    pub(crate) fn gateways(&self) -> anyhow::Result<Vec<(SocketAddr, u32)>> {
        let services = self.state["services"].as_array().context("services in the state file")?;
        let gateways = services
            .iter()
            .filter(|service| service["name"].as_str().is_some_and(|name| name.starts_with("gateway")));
        gateways
            .map(|gateway| {
                let pid = u32::try_from(gateway["pid"].as_u64().context("a running gateway")?)?;
                let environment = fs::read(format!("/proc/{pid}/environ"))?;
                let environment = String::from_utf8_lossy(&environment);
                let port = environment.split('\0').find_map(|line| line.strip_prefix("PORT="));
                let port = port.context("the gateway's PORT")?.parse()?;
                Ok((SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port)), pid))
            })
            .collect()
    }

    /// The process of a service.
    pub(crate) fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let services = self.state["services"].as_array().context("services in the state file")?;
        let service = services.iter().find(|service| service["name"] == name);
        let pid = service.and_then(|service| service["pid"].as_u64());
        Ok(u32::try_from(pid.with_context(|| format!("a running {name}"))?)?)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The value of an `export NAME=value` line of `mestres env`.
    pub(crate) fn setting(&self, name: &str) -> anyhow::Result<String> {
        let lines = ask(self.folder.path(), &["env"])?;
        let value = lines
            .lines()
            .find_map(|line| line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='))
            .with_context(|| format!("`mestres env` names no {name}:\n{lines}"))?;
        Ok(value.trim_matches(['\'', '"']).to_owned())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.up.id()).expect("a process id"));
        if kill(pid, Signal::SIGTERM).is_ok() {
            // Whatever the status: there is nothing more to do with it.
            drop(self.up.wait());
        }
    }
}

/// The address of a service's database, for the administrator of all of them.
pub(crate) fn database_url(admin_url: &str, service: &str) -> anyhow::Result<String> {
    let (server, _database) = admin_url.rsplit_once('/').context("a database in the admin URL")?;
    Ok(format!("{server}/mc_{service}"))
}

/// The output of a `mestres` subcommand in the shop of this folder.
pub(crate) fn ask(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program()?).args(arguments).current_dir(folder).output()?;
    anyhow::ensure!(
        output.status.success(),
        "mestres {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The release binary of `mestres`, beside our own.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("mestres");
    anyhow::ensure!(program.is_file(), "{} is missing: use `cargo xtask bench`", program.display());
    Ok(program)
}

/// A loopback port that nobody listens on.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until somebody listens at `address`.
pub(crate) async fn listening(address: SocketAddr) -> anyhow::Result<()> {
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(10), "nobody listens at {address}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
