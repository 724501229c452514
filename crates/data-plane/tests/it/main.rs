//! The servers for real: started, asked, killed, restarted, stopped, and gone with their owner.

mod fetching;
mod orphans;
mod servers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_plane::{Install, Search, Tools};

/// The checkout's own tools, so that only the first run ever fetches.
async fn tools() -> Tools {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders below it");
    let tool_dir = checkout.join(".mestres/tools");
    let mut said = Vec::new();
    let search = Search { tool_dir, install: Install::Allowed };
    Tools::find(&search, &mut |line| said.push(line.to_owned())).await.expect("the servers' programs")
}

/// A folder that the servers' account can pass through.
fn folder() -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let passable = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(dir.path(), passable).expect("the folder is ours");
    let path = dir.path().join("data");
    (dir, path)
}

/// Whether a process runs; one that has ended but was not collected does not.
fn runs(pid: u32) -> bool {
    let ps = std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output();
    let state = String::from_utf8(ps.expect("ps is there").stdout).expect("ps prints text");
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

async fn gone_within(pid: u32, patience: Duration) {
    let started = Instant::now();
    while runs(pid) {
        assert!(started.elapsed() < patience, "process {pid} still runs after {patience:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
