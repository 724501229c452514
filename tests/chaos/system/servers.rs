//! PostgreSQL, Redis and NATS of the run's own.

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Server;

#[derive(Debug)]
pub(super) struct Servers {
    pub(super) postgres: testkit::Postgres,
    pub(super) redis: testkit::Redis,
    pub(super) nats: testkit::Nats,
}

impl Servers {
    pub(super) async fn start() -> Self {
        let (postgres, redis, nats) =
            tokio::join!(testkit::Postgres::start(), testkit::Redis::start(), testkit::Nats::start());
        Self { postgres, redis, nats }
    }

    pub(super) async fn kill(&self, server: Server) {
        match server {
            Server::Nats => self.nats.kill().await,
            Server::Postgres => self.postgres.kill().await,
            Server::Redis => self.redis.kill().await,
        }
    }

    pub(super) async fn restart(&self, server: Server) {
        match server {
            Server::Nats => self.nats.restart().await,
            Server::Postgres => self.postgres.restart().await,
            Server::Redis => self.redis.restart().await,
        }
    }

    /// Sends the signal to the server and to every process that it has started.
    pub(super) async fn signal(&self, server: Server, signal: Signal) -> Result<()> {
        let pid = match server {
            Server::Nats => self.nats.pid().await,
            Server::Postgres => self.postgres.pid().await,
            Server::Redis => self.redis.pid().await,
        };
        let pid = pid.with_context(|| format!("{server} does not run"))?;
        // The parent first when they stop: it would start others. Sessions of PostgreSQL go on without it.
        send(pid, signal)?;
        let mut family = children(pid)?;
        while let Some(child) = family.pop() {
            // One that has ended meanwhile needs no signal.
            let _ = send(child, signal);
            family.extend(children(child)?);
        }
        Ok(())
    }
}

fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid).context("a process id")?);
    kill(pid, signal).with_context(|| format!("cannot signal {pid}"))
}

fn children(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").context("no list of processes")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // `pid (command) state parent …`; the command may hold anything but is closed by the last parenthesis.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        if after.split_whitespace().nth(1) == Some(&parent.to_string()) {
            children.push(pid);
        }
    }
    Ok(children)
}
