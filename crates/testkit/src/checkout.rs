//! Where this checkout keeps what its tests share.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use data_plane::{Install, Search, Tools};
use tokio::sync::OnceCell;

/// A short temporary folder for this checkout and user, which the servers' account can pass through.
pub(crate) fn temporary_folder() -> anyhow::Result<PathBuf> {
    data_plane::temporary_folder(&root().join("tests")).context("no temporary folder for the tests")
}

/// The servers' programs, the same ones that `mestres up` uses. Fetched when they are missing: tests never ask.
pub(crate) async fn tools() -> anyhow::Result<&'static Tools> {
    static TOOLS: OnceCell<Tools> = OnceCell::const_new();
    TOOLS
        .get_or_try_init(async || {
            let search = Search { tool_dir: root().join(".mestres/tools"), install: Install::Allowed };
            Tools::find(&search, &mut |_| {}).await.context("no servers to test with")
        })
        .await
}

fn root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.ancestors().nth(2).expect("the crate is two folders below the checkout").to_owned()
}
