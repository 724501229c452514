//! What this program can be asked to do.

pub(crate) mod charges;
pub(crate) mod oversell;
pub(crate) mod run;
pub(crate) mod same_key;
pub(crate) mod smoke;
pub(crate) mod sweep;

use clap::{Parser, Subcommand};

/// Breaks the shop on purpose and checks that it keeps its promises.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The checker is checked: every planted violation must be caught. Also without a command
    SelfTest,
    /// A mixed load under a plan of faults, then the invariants
    Run(run::Options),
    /// Fixed seeds within four minutes
    Smoke,
    /// A few orders at every failpoint and with every action
    Sweep(sweep::Options),
    /// Many buyers and one variant of which there are not enough
    Oversell(oversell::Options),
    /// Many checkouts with a provider that loses answers and shuffles webhooks
    Charges(charges::Options),
    /// Many simultaneous requests with one key
    SameKey(same_key::Options),
}

/// How to run this program again with these arguments.
pub(crate) fn replay(arguments: &str) -> String {
    format!("cargo test --workspace --features mestres/failpoints --test chaos -- {arguments}")
}
