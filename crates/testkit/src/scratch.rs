//! Temporary folders that the servers' account can reach and that do not pile up.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::checkout;

/// A folder that goes with this value; after a killed process, with the next one that makes a folder.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty folder.
    ///
    /// # Panics
    /// When the system has no room for temporary folders.
    pub fn new() -> Self {
        Self::make().expect("cannot make a temporary folder")
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn make() -> anyhow::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        static SWEPT: Once = Once::new();
        let parent = checkout::temporary_folder()?.join("scratch");
        SWEPT.call_once(|| sweep(&parent));
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{}-{number}", std::process::id()));
        // A process of the same number may have left one between our sweep and now.
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is swept by a later process.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes that are gone.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.split_once('-')).and_then(|(pid, _)| pid.parse().ok());
        let Some(owner) = owner else { continue };
        if kill(Pid::from_raw(owner), None) == Err(nix::errno::Errno::ESRCH) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
