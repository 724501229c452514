//! Mestres Café in one binary: the whole shop on this machine (`mestres up`), one service of it
//! (`mestres serve catalog`), and what goes with running them.
//!
//! Every role is a subcommand, so that what a developer runs is what a cluster runs. Only a build with
//! `--features mestres/failpoints` can be stopped at a point named in `MESTRES_FAILPOINTS`; any other refuses to start
//! with that variable, so that no test arms what does nothing.

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
    if let Err(refusal) = failpoints::arm() {
        let _told = writeln!(std::io::stderr(), "mestres: {refusal}");
        return ExitCode::from(2);
    }
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone too.
            let _told = writeln!(std::io::stderr(), "mestres: {}", cli::in_full(&error));
            cli::exit_code(&error)
        }
    }
}
