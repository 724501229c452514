//! A private PostgreSQL.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::account::Account;
use crate::command::{CommandError, run, run_with_input};
use crate::place::{beside, place};
use crate::port::Port;
use crate::server::{Claim, Probe, Server, Spec, StartError};
use crate::supervised::Lifeline;
use crate::tools::{Tool, Tools};
use crate::version::Version;

const INITDB: Duration = Duration::from_secs(60);
const COPY: Duration = Duration::from_secs(60);
const SET_PASSWORD: Duration = Duration::from_secs(30);
const SUPERUSER: &str = "postgres";

/// What a crash of the machine may cost. A crash of PostgreSQL alone costs no confirmed commit in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// `fsync` off: a power loss may ruin the whole folder. For data that can be made again. Commits still
    /// reach the system before they are confirmed (a mere write, then), so that a killed server loses none.
    Volatile,
    /// As PostgreSQL comes.
    Durable,
}

/// How a connection from loopback proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// By password (SCRAM). The superuser's is made up at the first start and kept beside the data, readable
    /// by the owner only: on a machine with several users, loopback is open to all of them.
    Password,
    /// Not at all. For tests, which open many connections: proving a password costs the client milliseconds.
    Trust,
}

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// The data folder; made from a template at the first start, and moved where [`place`] says.
    pub data_dir: PathBuf,
    /// Where the server's output is appended; beside the data when unset.
    pub log: Option<PathBuf>,
    /// Where to listen.
    pub port: Port,
    /// What a crash of the machine may cost.
    pub durability: Durability,
    /// How a connection proves who it is.
    pub auth: Auth,
    /// `shared_preload_libraries`.
    pub preload: Vec<String>,
    /// `max_connections`.
    pub max_connections: u32,
    /// `shared_buffers`, in MiB.
    pub shared_buffers_mib: u32,
    /// Further settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

impl PostgresOptions {
    /// The settings of a development server on `data_dir`: volatile, with passwords, any port, 200 connections,
    /// 64 MiB of buffers, `pg_stat_statements` preloaded.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            log: None,
            port: Port::Any,
            durability: Durability::Volatile,
            auth: Auth::Password,
            preload: vec!["pg_stat_statements".to_owned()],
            max_connections: 200,
            shared_buffers_mib: 64,
            settings: Vec::new(),
        }
    }
}

/// A running PostgreSQL. Dropping it stops the server in the background; [`Postgres::stop`] waits for that.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    version: Version,
    password: Option<String>,
}

impl Postgres {
    /// Starts a server and returns when it runs statements.
    ///
    /// # Errors
    /// When the folder is in use or of another major version, no port is free, or the server does not come up;
    /// then the error holds the end of its log.
    pub async fn start(tools: &Tools, options: &PostgresOptions) -> Result<Self, StartError> {
        let tool = &tools.postgres;
        let data_dir = place(&options.data_dir)?.dir;
        let account = Account::of_servers();
        let claim = Claim::take(&data_dir, Signal::SIGINT).await?;
        make_data(tool, &tools.dir, account, &data_dir).await?;

        let password = match options.auth {
            Auth::Trust => None,
            Auth::Password => Some(superuser_password(tool, account, &data_dir).await?),
        };
        let hba = data_dir.join("loopback_hba.conf");
        let method = if password.is_some() { "scram-sha-256" } else { "trust" };
        fs::write(&hba, format!("host all all 127.0.0.1/32 {method}\n"))
            .and_then(|()| account.own(&hba))
            .map_err(|error| StartError::prepare(format!("write {}", hba.display()), error))?;

        let spec = Spec {
            name: "PostgreSQL",
            program: tool.path.clone(),
            args: arguments(options, &data_dir, &hba),
            port_flag: "-p",
            account,
            log: options.log.clone().unwrap_or_else(|| beside(&data_dir, ".log")),
            data_dir,
            polite: Signal::SIGINT,
            abrupt: Signal::SIGQUIT,
            probe: Probe::PostgreSql { password: password.clone() },
        };
        let server = Server::start(spec, options.port, claim).await?;
        Ok(Self { server, version: tool.version, password })
    }

    /// The superuser's URL of the database `postgres`, with the password where there is one.
    pub fn admin_url(&self) -> String {
        let port = self.server.port();
        match &self.password {
            Some(password) => format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres"),
            None => format!("postgres://{SUPERUSER}@127.0.0.1:{port}/postgres"),
        }
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

    /// Ends the server and its sessions as a crash would: nothing more is written, and the next start recovers.
    /// This is SIGQUIT: after SIGKILL of the first process alone, sessions would live on for a moment.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.server.kill().await
    }

    /// Ends the server by SIGKILL, for destructors: blocks for the milliseconds that takes. Sessions end soon
    /// after.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill_now(&mut self) -> io::Result<()> {
        self.server.kill_now()
    }

    /// Starts the server again on the same port and data, and returns when it answers. Stops it first when it
    /// still runs.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.server.restart().await
    }

    /// A fast shutdown: open transactions are rolled back. By force after two seconds.
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

/// Whether the server on `port` runs statements and is the process `server`.
pub(crate) async fn answers(port: u16, server: Pid, password: Option<&str>) -> io::Result<bool> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(SUPERUSER)
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    if let Some(password) = password {
        options = options.password(password);
    }
    let mut connection = options.connect().await.map_err(io::Error::other)?;
    let statement = sqlx::query_scalar::<_, String>("SELECT pg_read_file('postmaster.pid')");
    let pid_file = statement.fetch_one(&mut connection).await.map_err(io::Error::other)?;
    // The server sees the connection go in either case.
    let _ = connection.close().await;
    Ok(pid_file.lines().next() == Some(server.to_string().as_str()))
}

fn arguments(options: &PostgresOptions, data_dir: &Path, hba: &Path) -> Vec<OsString> {
    let mut settings = vec![
        ("listen_addresses", "127.0.0.1".to_owned()),
        // Sockets in a folder would need a short path; loopback is enough.
        ("unix_socket_directories", String::new()),
        ("hba_file", hba.display().to_string()),
        ("max_connections", options.max_connections.to_string()),
        // So that one can ask when a row was committed; the freshness benchmark does.
        ("track_commit_timestamp", "on".to_owned()),
        ("shared_buffers", format!("{}MB", options.shared_buffers_mib)),
        ("shared_preload_libraries", options.preload.join(",")),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        ("log_checkpoints", "off".to_owned()),
        ("jit", "off".to_owned()),
        ("max_wal_size", "1GB".to_owned()),
    ];
    if cfg!(target_os = "linux") {
        // A statement whose client is gone ends soon.
        settings.push(("client_connection_check_interval", "1s".to_owned()));
    }
    if options.durability == Durability::Volatile {
        for name in ["fsync", "full_page_writes"] {
            settings.push((name, "off".to_owned()));
        }
        settings.push(("wal_level", "minimal".to_owned()));
        settings.push(("max_wal_senders", "0".to_owned()));
    }
    let further = options.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));

    let mut args: Vec<OsString> = vec!["-D".into(), data_dir.into()];
    for (name, value) in settings.into_iter().chain(further) {
        args.extend(["-c".into(), format!("{name}={value}").into()]);
    }
    args
}

/// Makes the data folder when it is not there, as a copy of a template: `initdb` is the longest step of a first
/// start.
async fn make_data(
    tool: &Tool,
    tool_dir: &Path,
    account: Account,
    data_dir: &Path,
) -> Result<(), StartError> {
    let cannot = |error: io::Error| StartError::prepare(format!("make {}", data_dir.display()), error);
    if let Ok(found) = fs::read_to_string(data_dir.join("PG_VERSION")) {
        let found = found.trim().to_owned();
        if found == tool.version.major.to_string() {
            return Ok(());
        }
        return Err(StartError::OtherMajor {
            data_dir: data_dir.to_owned(),
            found,
            program: tool.version.major,
        });
    }

    let template = template(tool, tool_dir, account).await?;
    let partial = beside(data_dir, ".partial");
    remove_dir(&partial).map_err(cannot)?;
    account.make_private_dir(&partial).map_err(cannot)?;
    let mut copy = Command::new("cp");
    copy.arg("-R").arg(template.join(".")).arg(&partial).current_dir("/");
    account.run(&mut copy);
    run(copy, COPY).await?;
    // An empty folder made beforehand may stand here; anything else is not ours to remove.
    match fs::remove_dir(data_dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    fs::rename(&partial, data_dir).map_err(cannot)
}

/// The template for this program and account, made once; parallel processes wait for each other.
async fn template(tool: &Tool, tool_dir: &Path, account: Account) -> Result<PathBuf, StartError> {
    let owner = match account {
        Account::Ourselves => "own".to_owned(),
        Account::Unprivileged { uid, .. } => uid.to_string(),
    };
    let dir = tool_dir.join(format!("initdb-{}-{owner}", tool.version));
    let cannot = |error: io::Error| StartError::prepare(format!("make {}", dir.display()), error);
    fs::create_dir_all(tool_dir).map_err(cannot)?;
    let _turn = crate::tools::take_turn(&beside(&dir, ".lock"), INITDB * 2).await.map_err(cannot)?;
    if dir.join("PG_VERSION").exists() {
        return Ok(dir);
    }
    let partial = beside(&dir, ".partial");
    let mut result = Ok(String::new());
    for locale in locales(tool.version) {
        remove_dir(&partial).map_err(cannot)?;
        account.make_private_dir(&partial).map_err(cannot)?;
        result = run(initdb(tool, account, &partial, locale), INITDB).await;
        if !matches!(result, Err(CommandError::Failed { .. })) {
            break;
        }
    }
    result?;
    fs::rename(&partial, &dir).map_err(cannot)?;
    Ok(dir)
}

fn initdb(tool: &Tool, account: Account, dir: &Path, locale: &[&str]) -> Command {
    let mut command = Command::new(tool.path.with_file_name("initdb"));
    command.arg("-D").arg(dir).args(["-U", SUPERUSER, "-E", "UTF8", "--no-sync", "--auth=trust"]);
    command.args(["--no-instructions", "--lc-messages=C"]).args(locale).current_dir(dir);
    account.run(&mut command);
    command
}

/// Locales to try, best first: letters beyond ASCII must count as letters (search and trigrams ask the
/// character type), while the order of strings stays that of their bytes everywhere.
fn locales(version: Version) -> &'static [&'static [&'static str]] {
    if version.major >= 17 {
        return &[
            &["--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
            &["--locale=C", "--lc-ctype=UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
            &["--locale=C"],
        ];
    }
    &[&["--locale=C.UTF-8"], &["--locale=C", "--lc-ctype=UTF-8"], &["--locale=C"]]
}

/// The superuser's password, kept beside the data; made up and set when it is not there.
async fn superuser_password(tool: &Tool, account: Account, data_dir: &Path) -> Result<String, StartError> {
    let file = beside(data_dir, ".password");
    let cannot = |error: io::Error| StartError::prepare(format!("keep {}", file.display()), error);
    if let Ok(password) = fs::read_to_string(&file) {
        return Ok(password.trim().to_owned());
    }
    let password = random_hex().map_err(cannot)?;

    // Set without a server that others could meanwhile connect to. The single-user mode reads statements.
    let mut single = Command::new(&tool.path);
    single.args(["--single", "-D"]).arg(data_dir).args(["-c", "fsync=off", "postgres"]).current_dir(data_dir);
    account.run(&mut single);
    run_with_input(single, &format!("ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n"), SET_PASSWORD).await?;

    // Under another name first: a file that is there holds a password that is set.
    let partial = beside(&file, "-partial");
    let write = || -> io::Result<()> {
        if partial.exists() {
            fs::remove_file(&partial)?;
        }
        let mut out = fs::File::options().write(true).create_new(true).mode(0o600).open(&partial)?;
        writeln!(out, "{password}")?;
        fs::rename(&partial, &file)
    };
    write().map_err(cannot)?;
    Ok(password)
}

/// 128 random bits of the system.
fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
