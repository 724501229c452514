//! Chores of development and CI: `cargo xtask --help`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program talks to its user")]

mod bench;
mod ci;
mod codegen;
mod layering;
mod sqlx_cache;
mod workspace;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::workspace::Freshness;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of development and CI")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Everything that CI runs, step by step; stops at the first step that fails
    Ci,
    /// Rewrite the Rust code generated from proto/
    Codegen(Check),
    /// Rewrite .sqlx, which lets the checked SQL compile without a database
    Sqlx(Check),
    /// Check the rules about who may depend on what
    Layering,
    /// Measure a shop of its own on this machine: `bench hit`, `bench freshness`, `bench sql`, `bench help`
    Bench {
        /// The benchmark and its options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args)]
struct Check {
    /// Change nothing; fail when something would change
    #[arg(long)]
    check: bool,
}

impl Check {
    fn freshness(&self) -> Freshness {
        if self.check { Freshness::Checked } else { Freshness::Restored }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().chore.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Last, and after a blank line: this is what the reader came for.
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Chore {
    async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Ci => ci::run().await,
            Self::Codegen(check) => codegen::run(check.freshness()),
            Self::Sqlx(check) => sqlx_cache::run(check.freshness()).await,
            Self::Layering => layering::run(),
            Self::Bench { arguments } => bench::run(&arguments),
        }
    }
}
