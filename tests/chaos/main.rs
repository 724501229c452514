//! The proof harness: the whole shop as processes, people who shop, a plan of what goes wrong, and afterwards a
//! check of everything that must still be true.
//!
//! `cargo test --workspace --features mestres/failpoints --test chaos -- run --seed 7` draws a plan, prints it, and
//! ends with a list of violations, which is empty. A run is given again by its seed and plan. The checker itself is
//! tested by violations that are planted: `-- self-test`.
//!
//! `MESTRES_BINARY` names another binary of the product than the one that cargo built with this program, such as a
//! release build with failpoints (`cargo build --release --workspace --features mestres/failpoints`) for the long
//! budgets. One without failpoints is refused.

mod check;
mod client;
mod commands;
mod faults;
mod history;
mod invariants;
mod load;
mod plan;
mod product;
mod provider;
mod quiet;
mod report;
mod self_test;
mod session;
mod system;

use std::process::ExitCode;

use clap::Parser as _;

use commands::{Cli, Command, charges, oversell, run, same_key, smoke, sweep};

#[tokio::main]
async fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or(Command::SelfTest);
    if let Err(error) = product::check().await {
        report::say(&format!("cannot begin: {error:#}"));
        return ExitCode::FAILURE;
    }
    let violations = match command {
        Command::SelfTest => Box::pin(self_test::run()).await,
        Command::Run(options) => Box::pin(run::run(&options)).await,
        Command::Smoke => Box::pin(smoke::run()).await,
        Command::Sweep(options) => Box::pin(sweep::run(&options)).await,
        Command::Oversell(options) => Box::pin(oversell::run(&options)).await,
        Command::Charges(options) => Box::pin(charges::run(&options)).await,
        Command::SameKey(options) => Box::pin(same_key::run(&options)).await,
    };
    match violations {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            report::say(&format!("cannot go on: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
