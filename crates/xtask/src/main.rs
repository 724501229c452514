//! Chores of development and CI: `cargo xtask --help`.

mod codegen;

fn main() -> anyhow::Result<()> {
    codegen::run()
}
