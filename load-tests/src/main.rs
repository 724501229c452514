//! The benchmarks of the running shop: `cargo xtask bench --help`.

mod bare;
mod checkout;
mod cpu;
mod freshness;
mod hit;
mod http;
mod login_storm;
mod shop;
mod spread;
mod sql;
mod streams;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Measures a shop of its own on this machine; see load-tests/README.md")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A cached listing through the whole gateway against a bare handler with the same bytes
    Hit(hit::Options),
    /// Stale reads with a token, and the time from commit to unservable without one
    Freshness(freshness::Options),
    /// The specification's critical queries and the catalog's statements at full size
    Sql(sql::Options),
    /// Buyers from cart to confirmation at a fixed rate beside everybody else's reads
    Checkout(checkout::Options),
    /// Catalog reads in quiet and while 200 strangers a second try to sign in
    LoginStorm(login_storm::Options),
    /// A thousand idle notification streams, and how soon the right one is told
    Streams(streams::Options),
    /// The other side of `hit`: serves one file, whatever is asked
    #[command(hide = true)]
    Bare(bare::Options),
}

fn main() -> anyhow::Result<()> {
    let command = Cli::parse().command;
    if let Command::Bare(options) = command {
        return bare::run(options);
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        match command {
            Command::Hit(options) => hit::run(options).await,
            Command::Freshness(options) => freshness::run(options).await,
            Command::Sql(options) => sql::run(options).await,
            Command::Checkout(options) => checkout::run(options).await,
            Command::LoginStorm(options) => login_storm::run(options).await,
            Command::Streams(options) => streams::run(options).await,
            Command::Bare(_) => unreachable!("answered above"),
        }
    })
}
