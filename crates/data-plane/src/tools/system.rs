//! Programs that the system has: on PATH, and where packages put them without PATH knowing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Origin, Role, Tool};
use crate::account::Account;
use crate::command::run;
use crate::version::Version;

const ASK: Duration = Duration::from_secs(10);

/// The first program for `role` that is new enough and usable, and a sentence for each that was passed over.
pub(super) async fn find(role: Role) -> (Option<Tool>, Vec<String>) {
    let mut passed_over = Vec::new();
    for path in candidates(role).await {
        match check(role, &path).await {
            Ok(tool) => return (Some(tool), passed_over),
            Err(why) => passed_over.push(format!("{}: {why}", path.display())),
        }
    }
    (None, passed_over)
}

/// The program's name, what we call it, the oldest version that will do.
type Program = (&'static str, &'static str, Version);
const POSTGRES: &[Program] = &[("postgres", "postgres", Version::new(15, 0, 0))];
const REDIS: &[Program] =
    &[("valkey-server", "valkey", Version::new(8, 0, 0)), ("redis-server", "redis", Version::new(7, 0, 0))];
const NATS: &[Program] = &[("nats-server", "nats", Version::new(2, 9, 10))];

/// What to look for, best first.
fn programs(role: Role) -> &'static [Program] {
    match role {
        Role::Postgres => POSTGRES,
        Role::Redis => REDIS,
        Role::Nats => NATS,
    }
}

async fn candidates(role: Role) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (program, ..) in programs(role) {
        // The shell knows PATH.
        let mut ask = Command::new("/bin/sh");
        ask.args(["-c", r#"command -v "$1""#, "sh", program]);
        if let Ok(path) = run(ask, ASK).await {
            found.push(PathBuf::from(path.trim()));
        }
        for dir in ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"] {
            found.push(Path::new(dir).join(program));
        }
    }
    if role == Role::Postgres {
        found.extend(versioned_postgres());
    }
    let mut seen = Vec::new();
    found.retain_mut(|path| {
        let Ok(target) = fs::canonicalize(&*path) else { return false };
        if role == Role::Postgres {
            // Links lead to where `initdb` and the libraries are. Redis must keep its name: the file behind
            // Debian's link is a tool for several jobs, which looks at how it was called.
            path.clone_from(&target);
        }
        let new = !seen.contains(&target);
        seen.push(target);
        new
    });
    found
}

/// PostgreSQL where packages keep several major versions side by side, newest first.
fn versioned_postgres() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, prefix, program) in [
        ("/usr/lib/postgresql", "", "bin/postgres"),
        ("/usr", "pgsql-", "bin/postgres"),
        ("/opt/homebrew/opt", "postgresql@", "bin/postgres"),
        ("/usr/local/opt", "postgresql@", "bin/postgres"),
    ] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let major = name.to_string_lossy().strip_prefix(prefix).and_then(|rest| rest.parse::<u32>().ok());
            if let Some(major) = major {
                found.push((major, entry.path().join(program)));
            }
        }
    }
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, path)| path).collect()
}

async fn check(role: Role, path: &Path) -> Result<Tool, String> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut ask = Command::new(path);
    ask.arg("--version");
    let said = run(ask, ASK).await.map_err(|error| error.to_string())?;
    let version = Version::in_text(&said).ok_or_else(|| format!("says no version but {:?}", said.trim()))?;
    // Debian's `redis-server` may be a link to Valkey, and the other way round.
    let is_valkey = said.to_lowercase().contains("valkey");
    let (_, name, oldest) = programs(role)
        .iter()
        .find(
            |(program, name, _)| {
                if role == Role::Redis { is_valkey == (*name == "valkey") } else { *program == file }
            },
        )
        .ok_or_else(|| "is another program".to_owned())?;
    if version < *oldest {
        return Err(format!("{version} is older than {oldest}"));
    }
    if role == Role::Postgres && !path.with_file_name("initdb").is_file() {
        return Err("has no initdb beside it".to_owned());
    }
    if !path.parent().is_some_and(|dir| Account::of_servers().enters(dir)) {
        return Err("cannot be reached by the account the servers run as".to_owned());
    }
    Ok(Tool { name, path: path.to_owned(), version, origin: Origin::System })
}
