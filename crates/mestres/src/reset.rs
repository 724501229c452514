//! `mestres reset`: a clean shop at the next `up`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::folder::Folder;
use crate::up::state::{Lock, State};

/// What the servers store below the data folder, each of which may have been moved by itself.
const SERVERS: [&str; 3] = ["postgres", "redis", "nats"];

/// Deletes data, keys and passwords; keeps the downloaded servers and the logs. Refuses while the shop runs.
pub(crate) fn run() -> anyhow::Result<()> {
    let folder = Folder::find()?;
    folder.create()?;
    let Some(_held_while_deleting) = Lock::take(&folder)? else {
        match State::load(&folder) {
            Some(state) => bail!("the shop runs; stop it first (Ctrl-C there, or kill {})", state.pid),
            None => bail!("another mestres is busy in this folder; try again when it has ended"),
        }
    };
    let mut out = std::io::stdout();
    for path in to_delete(&folder)? {
        writeln!(out, "deleting {}", path.display()).context("cannot say what is deleted")?;
        delete(&path)?;
    }
    writeln!(out, "kept {} and {}", folder.tools().display(), folder.logs().display())
        .context("cannot say so")
}

fn to_delete(folder: &Folder) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = vec![folder.data(), folder.run()];
    for server in SERVERS {
        // As root, folders that the servers' account cannot reach are elsewhere.
        let place = data_plane::place(&folder.data().join(server))?;
        if place.moved.is_some() {
            paths.extend(place.dir.parent().map(Path::to_owned));
        }
    }
    Ok(paths)
}

fn delete(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(refusal) if refusal.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(refusal) => Err(refusal).with_context(|| format!("cannot delete {}", path.display())),
    }
}
