//! `cargo xtask codegen`: rewrites `crates/proto/src/gen` from the contract in `proto/`.

use anyhow::Context;

use crate::workspace::{self, Freshness};

#[expect(unreachable_pub, reason = "shared with the test of crates/proto that compares")]
#[path = "../../proto/codegen.rs"]
mod generator;

pub(crate) fn run(freshness: Freshness) -> anyhow::Result<()> {
    let root = workspace::root();
    let fresh = tempfile::tempdir().context("a folder for the fresh code")?;
    generator::generate(&root.join("proto"), fresh.path())
        .map_err(|error| anyhow::anyhow!("generating from proto/: {error}"))?;
    workspace::settle(&root.join("crates/proto/src/gen"), fresh.path(), "cargo xtask codegen", freshness)
}
