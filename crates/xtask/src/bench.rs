//! `cargo xtask bench`: builds everything with `--release`, then runs the benchmarks of `load-tests`.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::workspace::root;

/// `arguments` are those of the `load-tests` binary: which benchmark, and its options.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    // The whole workspace: another package set would compile dependencies anew, with other features.
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--workspace"])
        .current_dir(root())
        .status()
        .context("running cargo")?;
    ensure!(built.success(), "the release build failed");
    let program = root().join("target/release/load-tests");
    let ran = Command::new(&program).args(arguments).status().context("running the benchmark")?;
    ensure!(ran.success(), "the benchmark failed: {ran}");
    Ok(())
}
