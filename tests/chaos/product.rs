//! The binary under test: the one that cargo built with this program, or that of `MESTRES_BINARY`.

use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Where it is.
#[expect(clippy::disallowed_methods, reason = "a switch of this program, no setting of a service")]
pub(crate) fn binary() -> &'static Path {
    static BINARY: LazyLock<String> = LazyLock::new(|| {
        let other = std::env::var("MESTRES_BINARY").ok().filter(|path| !path.is_empty());
        other.unwrap_or_else(|| env!("CARGO_BIN_EXE_mestres").to_owned())
    });
    Path::new(BINARY.as_str())
}

/// Makes sure that it can be stopped at its failpoints. Any build without them takes the place of the one that has
/// them, and every run with it would hold.
pub(crate) async fn check() -> Result<()> {
    let path = binary().display();
    let asked = tokio::process::Command::new(binary())
        .arg("--version")
        .env_clear()
        .env("MESTRES_FAILPOINTS", "chaos.nowhere=error")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let asked = timeout(PATIENCE, asked).await.with_context(|| format!("{path} does not answer"))?;
    let asked = asked.with_context(|| format!("cannot start {path}"))?;
    let said = String::from_utf8_lossy(&asked.stderr);
    ensure!(
        asked.status.success() && said.contains("1 armed"),
        "{path} has no failpoints, so that nothing would be proved; build it with \
         `cargo build --workspace --features mestres/failpoints`, or let MESTRES_BINARY name one that has. \
         It said: {said}",
    );
    Ok(())
}
