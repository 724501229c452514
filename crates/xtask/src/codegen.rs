//! `cargo xtask codegen`: rewrites `crates/proto/src/gen` from the contract in `proto/`.

use std::{fs, path::Path};

use anyhow::Context;

#[path = "../../proto/codegen.rs"]
mod codegen;

pub(crate) fn run() -> anyhow::Result<()> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = crates.join("proto/src/gen");
    if out.exists() {
        fs::remove_dir_all(&out).context("clearing crates/proto/src/gen")?;
    }
    fs::create_dir_all(&out).context("making crates/proto/src/gen")?;
    codegen::generate(&crates.join("../proto"), &out)
        .map_err(|error| anyhow::anyhow!("generating from proto/: {error}"))
}
