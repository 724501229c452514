//! Whom the servers run as. PostgreSQL refuses root, and the others have no need of it.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use nix::unistd::{Uid, User};

/// The user that servers and their folders belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// We are not root, so they run as we do.
    Ourselves,
    /// We are root, so they run as an account without rights.
    Unprivileged { uid: u32, gid: u32 },
}

impl Account {
    /// `postgres` where that user exists, else `nobody`; ourselves when we are not root, or when neither exists
    /// (PostgreSQL then says itself that it refuses).
    pub(crate) fn of_servers() -> Self {
        if !Uid::effective().is_root() {
            return Self::Ourselves;
        }
        ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten()).map_or(
            Self::Ourselves,
            |user| Self::Unprivileged { uid: user.uid.as_raw(), gid: user.gid.as_raw() },
        )
    }

    /// Makes `command` run as this account. The standard library also clears the supplementary groups.
    pub(crate) fn run(self, command: &mut Command) {
        if let Self::Unprivileged { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Gives `path` to this account.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Unprivileged { uid, gid } => std::os::unix::fs::chown(path, Some(uid), Some(gid)),
        }
    }

    /// Makes `dir` with its parents, readable by this account only.
    pub(crate) fn make_private_dir(self, dir: &Path) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        fs::create_dir_all(dir)?;
        self.own(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
    }

    /// Whether this account can enter `dir`. Asked of the system by trying: modes alone do not say it, with
    /// access lists and mounts in play.
    pub(crate) fn enters(self, dir: &Path) -> bool {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"cd -- "$1""#, "sh"]).arg(dir);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.run(&mut command);
        command.status().is_ok_and(|status| status.success())
    }
}
