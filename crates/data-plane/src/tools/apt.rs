//! Debian's packages, when we are root there. Installing must not start anything: the packages would bring up
//! servers of their own on the usual ports, and PostgreSQL's would make a cluster.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::Uid;

use super::{Progress, Role};
use crate::command::{CommandError, run};

const APT: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) enum Outcome {
    Installed,
    /// Not Debian, or not root; the reason.
    DoesNotApply(&'static str),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum AptError {
    #[error("cannot switch off the start of services, at {}", path.display())]
    Guard { path: PathBuf, source: io::Error },
    #[error("apt-get did not install the packages")]
    Apt(#[source] CommandError),
}

/// Installs the packages for `roles`.
pub(super) async fn install(roles: &[Role], progress: &Progress<'_>) -> Result<Outcome, AptError> {
    if !Path::new("/etc/debian_version").exists() {
        return Ok(Outcome::DoesNotApply("this is not Debian"));
    }
    if !Uid::effective().is_root() {
        return Ok(Outcome::DoesNotApply("we are not root"));
    }
    let no_services = Guard::put(
        Path::new("/usr/sbin/policy-rc.d"),
        "#!/bin/sh\n# Removed again at the end of an install by `mestres`: no service starts meanwhile.\nexit 101\n",
        0o755,
    )?;
    let no_cluster = Guard::put(
        Path::new("/etc/postgresql-common/createcluster.d/mestres.conf"),
        "create_main_cluster = false\n",
        0o644,
    )?;

    let packages: Vec<&str> = roles.iter().map(|role| role.package()).collect();
    progress.say(&format!("apt-get install {}", packages.join(" ")));
    let mut result = run(apt(&["install", "-y", "--no-install-recommends"], &packages), APT).await;
    if matches!(result, Err(CommandError::Failed { .. })) {
        // Fresh containers have no package lists.
        progress.say("apt-get update, then again");
        run(apt(&["update"], &[]), APT).await.map_err(AptError::Apt)?;
        result = run(apt(&["install", "-y", "--no-install-recommends"], &packages), APT).await;
    }
    drop((no_services, no_cluster));
    result.map_err(AptError::Apt)?;
    Ok(Outcome::Installed)
}

fn apt(verb: &[&str], packages: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["--quiet", "-o", "DPkg::Lock::Timeout=120"])
        .args(verb)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// A file that stands during an install only. One that is there already stays as it is: whoever put it there
/// has decided.
#[derive(Debug)]
struct Guard {
    ours: Option<PathBuf>,
}

impl Guard {
    fn put(path: &Path, text: &str, mode: u32) -> Result<Self, AptError> {
        let attempt = || -> io::Result<Option<PathBuf>> {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            match fs::File::options().write(true).create_new(true).mode(mode).open(path) {
                Ok(mut file) => {
                    file.write_all(text.as_bytes())?;
                    // Whatever the umask took away.
                    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
                    Ok(Some(path.to_owned()))
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(error),
            }
        };
        let ours = attempt().map_err(|source| AptError::Guard { path: path.to_owned(), source })?;
        Ok(Self { ours })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(path) = &self.ours {
            // Nothing more can be done about it here, and the file says whose it is.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Guard;

    #[test]
    fn a_guard_goes_with_the_install_and_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("deep/ours"), dir.path().join("theirs"));
        fs::write(&theirs, "kept").unwrap();

        let guards = (Guard::put(&ours, "text", 0o755).unwrap(), Guard::put(&theirs, "text", 0o755).unwrap());
        assert_eq!(fs::read_to_string(&ours).unwrap(), "text");
        drop(guards);

        assert!(!ours.exists());
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "kept");
    }
}
