//! One PostgreSQL for all test processes of a run.
//!
//! The first process that needs it starts it; the others find it by a file in the checkout's temporary folder.
//! Its life then belongs to a keeper (`keep.sh`), a small shell that no test process is the owner of: every
//! user holds the writing end of a named pipe open, and the keeper reads from it until the last one has closed
//! it, be it by ending or by being killed. `cargo test` runs test programs one after the other, so the keeper
//! also waits while the cargo lives that ran one of them. When `cargo test` is over, the server is, too, and
//! its folder is removed. A pipe without a reader tells the next run that it must start anew.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use data_plane::{Auth, PostgresOptions};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::checkout;

const SCRIPT: &str = include_str!("keep.sh");
/// The one before us may be fetching the program.
const TURN: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);
const ANSWER: Duration = Duration::from_secs(10);
/// A folder without a pipe is one whose last users are still at it, or what a killed start left behind.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// The server that all tests of a run share. It asks for no passwords and has `pg_stat_statements` preloaded.
#[derive(Debug)]
pub struct SharedPostgres {
    /// The superuser's URL of the database `postgres`.
    pub admin_url: String,
    /// The writing end of the pipe: as long as it is open, the server stays.
    _membership: File,
}

/// The shared server, started if this is the first test to need it.
///
/// # Panics
/// When there is no PostgreSQL to start.
pub async fn postgres() -> &'static SharedPostgres {
    static SHARED: OnceCell<SharedPostgres> = OnceCell::const_new();
    SHARED.get_or_try_init(join_or_start).await.expect("tests need PostgreSQL")
}

impl SharedPostgres {
    /// [`SharedPostgres::admin_url`] with another database.
    pub fn admin_url_of(&self, database: &str) -> String {
        let (server, _) = self.admin_url.rsplit_once('/').expect("the URL names a database");
        format!("{server}/{database}")
    }

    /// The URL of `login` on `database`.
    pub fn url_of(&self, login: &str, password: &str, database: &str) -> String {
        let (_, address) = self.admin_url.split_once('@').expect("the URL names a login");
        let (address, _) = address.split_once('/').expect("the URL names a database");
        format!("postgres://{login}:{password}@{address}/{database}")
    }
}

async fn join_or_start() -> anyhow::Result<SharedPostgres> {
    let home = checkout::temporary_folder()?;
    let _turn = take_turn(&home.join("postgres.lock")).await?;
    let current = home.join("postgres.current");
    if let Ok(name) = fs::read_to_string(&current)
        && let Some(shared) = join(&home.join(name.trim())).await
    {
        return Ok(shared);
    }
    remove_dead(&home);
    let (name, shared) = start(&home).await?;
    let partial = home.join("postgres.current-partial");
    fs::write(&partial, name)?;
    fs::rename(&partial, &current)?;
    Ok(shared)
}

/// Becomes a user of the server in `dir`, if it has a keeper and answers.
async fn join(dir: &Path) -> Option<SharedPostgres> {
    let mut membership = open_to_write(&dir.join("users")).ok()?;
    name_runner(&mut membership).ok()?;
    let admin_url = fs::read_to_string(dir.join("url")).ok()?;
    let mut connection = timeout(ANSWER, PgConnection::connect(&admin_url)).await.ok()?.ok()?;
    connection.ping().await.ok()?;
    Some(SharedPostgres { admin_url, _membership: membership })
}

/// Starts a server and its keeper in a folder of their own.
async fn start(home: &Path) -> anyhow::Result<(String, SharedPostgres)> {
    let name = format!("postgres-{}", Uuid::now_v7().simple());
    let dir = home.join(&name);
    fs::DirBuilder::new().mode(0o711).create(&dir)?;
    let options = PostgresOptions {
        auth: Auth::Trust,
        max_connections: 300,
        shared_buffers_mib: 128,
        settings: [
            ("max_wal_size", "4GB"),
            ("checkpoint_timeout", "30min"),
            ("pg_stat_statements.max", "20000"),
            ("autovacuum_naptime", "10min"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        ..PostgresOptions::new(dir.join("data"))
    };
    let server = data_plane::Postgres::start(checkout::tools().await?, &options).await?;
    let admin_url = server.admin_url();
    let pid = server.pid().context("the server has ended")?;
    fs::write(dir.join("url"), &admin_url)?;

    // Opened for both directions the pipe waits for nobody; so the two ends can be opened one after the other.
    let fifo = dir.join("users");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let both = File::options().read(true).write(true).open(&fifo)?;
    let users = File::open(&fifo)?;
    let mut membership = open_to_write(&fifo)?;
    drop(both);
    name_runner(&mut membership)?;

    let lifeline = server.into_lifeline().context("the server has ended")?;
    Command::new("/bin/sh")
        .args(["-c", SCRIPT, "keep"])
        .args([&fifo, &dir])
        .arg(pid.to_string())
        .current_dir("/")
        .process_group(0)
        .stdin(users)
        .stdout(lifeline)
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the keeper")?;
    Ok((name, SharedPostgres { admin_url, _membership: membership }))
}

/// Opens the pipe to write; an error when nobody reads from it.
fn open_to_write(fifo: &Path) -> std::io::Result<File> {
    File::options().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(fifo)
}

/// Tells the keeper which process runs the tests, if one does: cargo or nextest. A shell would be there for
/// hours.
fn name_runner(membership: &mut File) -> std::io::Result<()> {
    let parent = std::os::unix::process::parent_id();
    let name = fs::read_to_string(format!("/proc/{parent}/comm")).or_else(|_no_proc| {
        let ps = Command::new("ps").args(["-o", "comm=", "-p", &parent.to_string()]).output()?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&ps.stdout).into_owned())
    })?;
    let program = Path::new(name.trim()).file_name().unwrap_or_default().to_string_lossy();
    if program.starts_with("cargo") || program.starts_with("nextest") {
        writeln!(membership, "{parent}")?;
    }
    Ok(())
}

/// Removes folders whose keeper is gone.
fn remove_dead(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with("postgres-") {
            continue;
        }
        let dir = entry.path();
        let fifo = dir.join("users");
        let dead = if fifo.exists() { open_to_write(&fifo).is_err() } else { is_forgotten(&dir) };
        if dead {
            // What cannot be removed is tried again by the next start.
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn is_forgotten(dir: &PathBuf) -> bool {
    let modified = fs::metadata(dir).and_then(|dir| dir.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > FORGOTTEN))
}

async fn take_turn(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let deadline = Instant::now() + TURN;
    while let Err(error) = file.try_lock() {
        match error {
            fs::TryLockError::WouldBlock => {
                anyhow::ensure!(Instant::now() < deadline, "{} is locked for too long", path.display());
                sleep(POLL).await;
            }
            fs::TryLockError::Error(error) => return Err(error.into()),
        }
    }
    Ok(file)
}
