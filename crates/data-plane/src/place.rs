//! Where folders go that the servers' account must reach.

use std::ffi::OsStr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::unistd::Uid;
use sha2::{Digest as _, Sha256};

use crate::account::Account;

/// A folder for servers or their data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The absolute path to use.
    pub dir: PathBuf,
    /// Why it is not the path that was asked for; a sentence for people.
    pub moved: Option<String>,
}

/// Neither the wanted folder nor a temporary one can be used.
#[derive(Debug, thiserror::Error)]
#[error("no folder for {} that the servers' account can reach", wanted.display())]
pub struct PlaceError {
    wanted: PathBuf,
    source: io::Error,
}

/// The folder to use for `wanted`: itself where the servers' account reaches it, else the same temporary
/// folder every time. Makes no folder at `wanted`.
///
/// # Errors
/// When no temporary folder can be made, or somebody else made it before us.
pub fn place(wanted: &Path) -> Result<Place, PlaceError> {
    let account = Account::of_servers();
    let attempt = || -> io::Result<Place> {
        let wanted = std::path::absolute(wanted)?;
        let existing = wanted.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
        if account == Account::Ourselves || account.enters(existing) {
            return Ok(Place { dir: wanted, moved: None });
        }
        // Another spelling of the same path finds the same folder.
        let rest = wanted.strip_prefix(existing).unwrap_or(Path::new(""));
        let spelled: PathBuf = existing.canonicalize()?.join(rest).components().collect();
        let home = temporary_home(account, &spelled)?;
        let dir = home.join(spelled.file_name().unwrap_or(OsStr::new("root")));
        let moved = format!(
            "{} cannot be entered by the account the servers run as; using {}",
            existing.display(),
            dir.display()
        );
        Ok(Place { dir, moved: Some(moved) })
    };
    attempt().map_err(|source| PlaceError { wanted: wanted.to_owned(), source })
}

/// A temporary folder that stands for `owner` (any path, such as a checkout): the same one every time, ours
/// alone, and the servers' account can pass through it.
///
/// # Errors
/// When it cannot be made, or somebody else made it before us.
pub fn temporary_folder(owner: &Path) -> Result<PathBuf, PlaceError> {
    temporary_home(Account::of_servers(), owner)
        .map_err(|source| PlaceError { wanted: owner.to_owned(), source })
}

/// A folder of our own below the first temporary folder that `account` can enter, named after `wanted`.
fn temporary_home(account: Account, wanted: &Path) -> io::Result<PathBuf> {
    let base = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()]
        .into_iter()
        .find(|base| account.enters(base))
        .ok_or_else(|| io::Error::other("the account can enter no temporary folder"))?;
    let digest = Sha256::digest(wanted.as_os_str().as_encoded_bytes());
    let key: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let home = base.join(format!("mestres-{}-{key}", Uid::effective()));
    own_dir(&home)?;
    Ok(home)
}

/// The path beside `dir` whose name is that of `dir` with `suffix` after it.
pub(crate) fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    dir.with_file_name(name)
}

/// Makes `dir`, which others may pass through, or takes it when it is ours. The name in a shared folder can be
/// guessed, so a folder or link that somebody else put there is refused.
fn own_dir(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o711).create(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = fs::symlink_metadata(dir)?;
    if found.is_dir() && found.uid() == Uid::effective().as_raw() && found.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} is not ours", dir.display())))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::{own_dir, place};
    use crate::account::Account;

    #[test]
    fn a_folder_that_can_be_reached_stays() {
        let found = place(Path::new("/tmp/some/thing/that/is/not/there")).unwrap();
        assert_eq!(found.dir, Path::new("/tmp/some/thing/that/is/not/there"));
        assert_eq!(found.moved, None);
    }

    #[test]
    fn a_folder_that_the_servers_cannot_reach_moves_and_says_so() {
        let Account::Unprivileged { .. } = Account::of_servers() else { return };
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let wanted = closed.path().join("postgres");

        let found = place(&wanted).unwrap();

        assert!(!found.dir.starts_with(closed.path()), "{found:?}");
        assert!(found.moved.as_deref().unwrap().contains("cannot be entered"));
        assert_eq!(place(&wanted).unwrap(), found, "the second call finds the same place");
        fs::create_dir_all(wanted.join("deeper")).unwrap();
        let other_spelling = place(&wanted.join("deeper/..")).unwrap();
        assert_eq!(other_spelling.dir, found.dir);
        fs::remove_dir(found.dir.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_planted_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("home");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(own_dir(&link).is_err());
    }
}
