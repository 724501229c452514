//! `cargo xtask layering`: who may know what. Placeholder.
pub(crate) fn run() -> anyhow::Result<()> {
    Ok(())
}
