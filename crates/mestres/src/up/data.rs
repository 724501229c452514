//! The data plane of the local shop: the servers that the environment names, or private ones.

use std::cell::RefCell;
use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use data_plane::{
    Install, Nats, NatsOptions, Origin, Port, Postgres, PostgresOptions, Redis, RedisOptions, Search, Tool,
    Tools,
};
use tokio::net::TcpStream;

use crate::folder::Folder;
use crate::log_file::LogFile;
use crate::up::narrator::Narrator;
use crate::up::table::{Line, took_ms};

const POSTGRES_PORT: u16 = 55_432;
const REDIS_PORT: u16 = 56_379;
const NATS_PORT: u16 = 54_222;
/// Streams with a bound of their own have it set aside, whatever is in them.
const STREAMS_MIB_MAX: u32 = 8 * 1024;
/// A server that the environment names is up already.
const REACHABLE_WITHIN: Duration = Duration::from_secs(3);

/// Where the servers are, and those of them that are ours to stop.
#[derive(Debug, Default)]
pub(crate) struct DataPlane {
    /// A superuser's.
    pub(crate) admin_url: String,
    pub(crate) redis_url: String,
    pub(crate) nats_url: String,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    nats: Option<Nats>,
}

impl DataPlane {
    /// Starts what the environment does not name; returns when all three answer.
    pub(crate) async fn start(&mut self, folder: &Folder, narrator: &mut Narrator) -> anyhow::Result<()> {
        let postgres = External::named("MESTRES_DATABASE_ADMIN_URL", 5432);
        let redis = External::named("REDIS_URL", 6379);
        let nats = External::named("NATS_URL", 4222);
        let tools = if postgres.is_some() && redis.is_some() && nats.is_some() {
            None
        } else {
            Some(find_tools(folder, narrator).await?)
        };

        if tools.is_some()
            && let Some(moved) = data_plane::place(&folder.data().join("postgres"))?.moved
        {
            narrator.say(Line::Note { text: moved })?;
        }
        let told = RefCell::new(narrator);
        let tell = |line| told.borrow_mut().say(line);
        let data = folder.data();
        let log = |server| LogFile::begin(&folder.logs(), server).map(|log| log.path().to_owned());
        let start_postgres = async {
            let Some(tools) = tools.as_ref().filter(|_| postgres.is_none()) else {
                return reach(postgres.as_ref(), "postgres", &tell).await;
            };
            let begun = Instant::now();
            let options = PostgresOptions {
                port: Port::NextFree(POSTGRES_PORT),
                log: Some(log("postgres")?),
                ..PostgresOptions::new(data.join("postgres"))
            };
            let server = Postgres::start(tools, &options).await.context("cannot start PostgreSQL")?;
            tell(ready(&tools.postgres, server.version(), server.port(), POSTGRES_PORT, begun))?;
            self.admin_url = server.admin_url();
            self.postgres = Some(server);
            anyhow::Ok(())
        };
        let start_redis = async {
            let Some(tools) = tools.as_ref().filter(|_| redis.is_none()) else {
                return reach(redis.as_ref(), "redis", &tell).await;
            };
            let begun = Instant::now();
            let options = RedisOptions {
                port: Port::NextFree(REDIS_PORT),
                log: Some(log("redis")?),
                ..RedisOptions::new(data.join("redis"))
            };
            let server = Redis::start(tools, &options).await.context("cannot start Redis")?;
            tell(ready(&tools.redis, server.version(), server.port(), REDIS_PORT, begun))?;
            self.redis_url = server.url();
            self.redis = Some(server);
            anyhow::Ok(())
        };
        let start_nats = async {
            let Some(tools) = tools.as_ref().filter(|_| nats.is_none()) else {
                return reach(nats.as_ref(), "nats", &tell).await;
            };
            let begun = Instant::now();
            let options = NatsOptions {
                port: Port::NextFree(NATS_PORT),
                log: Some(log("nats")?),
                storage_mib: STREAMS_MIB_MAX,
                ..NatsOptions::new(data.join("nats"))
            };
            let server = Nats::start(tools, &options).await.context("cannot start NATS")?;
            tell(ready(&tools.nats, server.version(), server.port(), NATS_PORT, begun))?;
            self.nats_url = server.url();
            self.nats = Some(server);
            anyhow::Ok(())
        };
        tokio::try_join!(start_postgres, start_redis, start_nats)?;

        for (url, external) in
            [(&mut self.admin_url, postgres), (&mut self.redis_url, redis), (&mut self.nats_url, nats)]
        {
            if let Some(external) = external {
                *url = external.url;
            }
        }
        Ok(())
    }

    /// Starts a server of ours again that has ended by itself, on its port and with its data, and says so.
    pub(crate) async fn revive(&mut self, narrator: &mut Narrator) {
        let begun = Instant::now();
        if let Some(server) = self.postgres.as_mut()
            && server.has_ended()
        {
            narrator.server_ended("postgres", server.log());
            narrator.server_came_back("postgres", server.restart().await, begun);
        }
        if let Some(server) = self.redis.as_mut()
            && server.has_ended()
        {
            narrator.server_ended("redis", server.log());
            narrator.server_came_back("redis", server.restart().await, begun);
        }
        if let Some(server) = self.nats.as_mut()
            && server.has_ended()
        {
            narrator.server_ended("nats", server.log());
            narrator.server_came_back("nats", server.restart().await, begun);
        }
    }

    /// Stops what is ours.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let stop_postgres = async {
            match self.postgres {
                Some(server) => server.stop().await.context("cannot stop PostgreSQL"),
                None => Ok(()),
            }
        };
        let stop_redis = async {
            match self.redis {
                Some(server) => server.stop().await.context("cannot stop Redis"),
                None => Ok(()),
            }
        };
        let stop_nats = async {
            match self.nats {
                Some(server) => server.stop().await.context("cannot stop NATS"),
                None => Ok(()),
            }
        };
        let (postgres, redis, nats) = tokio::join!(stop_postgres, stop_redis, stop_nats);
        postgres.and(redis).and(nats)
    }
}

async fn find_tools(folder: &Folder, narrator: &mut Narrator) -> anyhow::Result<Tools> {
    let search = Search { tool_dir: folder.tools(), install: Install::Allowed };
    let mut progress = |step: &str| {
        // "postgres 18.6 (tool folder)": what was found is told once it runs.
        if !step.ends_with(')') {
            narrator.mention(&Line::Note { text: step.to_owned() });
        }
    };
    Ok(Tools::find(&search, &mut progress).await?)
}

fn ready(tool: &Tool, version: impl Display, port: u16, usual_port: u16, begun: Instant) -> Line {
    let origin = match tool.origin {
        Origin::ToolFolder => "tool folder".to_owned(),
        Origin::System => tool.path.parent().unwrap_or(Path::new("/")).display().to_string(),
    };
    let moved = if port == usual_port { String::new() } else { format!(", {usual_port} is taken") };
    Line::Data {
        server: tool.name.to_owned(),
        version: version.to_string(),
        address: format!("127.0.0.1:{port}"),
        origin: origin + &moved,
        took_ms: took_ms(begun),
    }
}

/// A server that somebody else runs.
struct External {
    variable: &'static str,
    url: String,
    usual_port: u16,
}

impl External {
    fn named(variable: &'static str, usual_port: u16) -> Option<Self> {
        bootstrap::config::optional(variable).map(|url| Self { variable, url, usual_port })
    }

    /// Host and port, without the credentials.
    fn address(&self) -> Option<String> {
        let uri: hyper::Uri = self.url.parse().ok()?;
        let host = uri.host()?.to_owned();
        Some(format!("{host}:{}", uri.port_u16().unwrap_or(self.usual_port)))
    }
}

/// Makes sure that somebody listens where the environment says, so that a stale variable is named.
async fn reach(
    external: Option<&External>,
    server: &str,
    tell: &impl Fn(Line) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(external) = external else { return Ok(()) };
    let begun = Instant::now();
    let variable = external.variable;
    let address = external.address().with_context(|| format!("{variable} is not a URL with a host"))?;
    tokio::time::timeout(REACHABLE_WITHIN, TcpStream::connect(&address))
        .await
        .map_err(anyhow::Error::from)
        .and_then(|connected| Ok(connected?))
        .with_context(|| {
            format!("nothing answers at {address}, which {variable} names; unset it to get a private server")
        })?;
    tell(Line::Data {
        server: server.to_owned(),
        version: String::new(),
        address,
        origin: format!("from {variable}"),
        took_ms: took_ms(begun),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<&str>) {
        let external = External { variable: "REDIS_URL", url: url.to_owned(), usual_port: 6379 };
        assert_eq!(external.address().as_deref(), expected, "{url}");
    }

    #[test]
    fn an_address_has_host_and_port_and_no_password() {
        check("redis://127.0.0.1:56379", Some("127.0.0.1:56379"));
        check("redis://user:secret@cache.internal/0", Some("cache.internal:6379"));
        check("postgres://postgres:secret@[::1]:55432/postgres", Some("[::1]:55432"));
        check("nats.internal", Some("nats.internal:6379"));
        check("/var/run/redis.sock", None);
    }
}
