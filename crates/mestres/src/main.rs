//! Mestres Café in one binary: the whole shop on this machine (`mestres up`), one service of it
//! (`mestres serve catalog`), and what goes with running them.
//!
//! Every role is a subcommand, so that what a developer runs is what a cluster runs.

mod cli;
mod serve;
mod up;

mod admin;
mod audit_log;
mod dead;
mod keys;
mod migrate;
mod reset;
mod shell_env;
mod token;

mod assertion_keys;
mod database;
mod dev_key;
mod folder;
mod log_file;
mod port;
mod private_file;
mod probe;
mod secrets;
mod service;
mod supervise;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone too.
            let _told = writeln!(std::io::stderr(), "mestres: {}", cli::in_full(&error));
            cli::exit_code(&error)
        }
    }
}
