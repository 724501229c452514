//! Where the local shop lives: `.mestres` beside the checkout's `Cargo.toml`, ignored by git.
//!
//! Deleting that folder uninstalls everything that `mestres up` ever put on the machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// From any folder inside a checkout, the checkout's; elsewhere (an installed binary) the current folder's.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let here = std::env::current_dir().context("cannot tell the current folder")?;
        Ok(Self::of(&here))
    }

    pub(crate) fn of(here: &Path) -> Self {
        let home = here.ancestors().find(|folder| is_checkout(folder)).unwrap_or(here);
        Self { root: home.join(".mestres") }
    }

    /// Downloaded servers. Kept by `mestres reset`.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// What PostgreSQL, Redis and NATS store.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Keys, passwords and the state of the running shop: for the owner's eyes only.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Held for as long as `mestres up` runs. Outside the folders that `reset` deletes, so that nobody can take
    /// a second lock on a file that has lost its name.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("up.lock")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.run().join("state.json")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.run().join("secrets.json")
    }

    /// What the payment sandbox remembers; goes with the orders that it was paid for.
    pub(crate) fn sandbox(&self) -> PathBuf {
        self.data().join("payments-sandbox.json")
    }

    pub(crate) fn jwks(&self) -> PathBuf {
        self.run().join("jwks.json")
    }

    pub(crate) fn dev_key(&self) -> PathBuf {
        self.run().join("dev-key.pem")
    }

    /// By which service `issuer` states to others who is calling.
    pub(crate) fn assertion_key(&self, issuer: &str) -> PathBuf {
        self.run().join(format!("assertion-key-{issuer}.pem"))
    }

    /// The public halves of all services' assertion keys.
    pub(crate) fn assertion_jwks(&self) -> PathBuf {
        self.run().join("assertions.json")
    }

    /// Makes the folders that hold something from the first start on.
    pub(crate) fn create(&self) -> anyhow::Result<()> {
        for folder in [self.tools(), self.data(), self.run(), self.logs()] {
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let owner_only = std::fs::Permissions::from_mode(0o700);
        let run = self.run();
        std::fs::set_permissions(&run, owner_only).with_context(|| format!("cannot close {}", run.display()))
    }
}

fn is_checkout(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file() && folder.join("crates/mestres/Cargo.toml").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_a_checkout_it_is_the_checkouts() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let checkout = source.ancestors().nth(2).expect("crates/mestres is two levels deep");

        for inside in [checkout, &checkout.join("docs"), &source.join("src/up")] {
            assert_eq!(Folder::of(inside).root, checkout.join(".mestres"));
        }
    }

    #[test]
    fn elsewhere_it_is_the_current_folders() {
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(Folder::of(elsewhere.path()).root, elsewhere.path().join(".mestres"));
    }
}
