//! The command line: which subcommands there are and what they take.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::service::Service;
use crate::{admin, audit_log, database, dead, keys, migrate, reset, serve, shell_env, token, up};

/// Mestres Café: a coffee shop's backend, in one binary.
#[derive(Debug, Parser)]
#[command(name = "mestres", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the whole shop on this machine and say where everything is
    Up(up::Options),
    /// Run one service; its settings come from the environment
    Serve { service: Service },
    /// Bring databases to this version's schema and declare the streams, then exit
    Migrate {
        /// Only this service's database
        service: Option<database::Schema>,
    },
    /// Print the running shop's addresses as `export` lines, for `eval "$(mestres env)"`
    Env,
    /// Delete the local shop's data and keys, keep the downloaded servers
    Reset,
    /// Print a token that the local shop accepts
    Token(token::Options),
    /// Administrators of the shop
    #[command(subcommand)]
    Admin(admin::Command),
    /// The keys that sign access tokens
    #[command(subcommand)]
    Keys(keys::Command),
    /// What staff did
    #[command(subcommand)]
    Audit(audit_log::Command),
    /// Events between the services
    #[command(subcommand)]
    Events(dead::Command),
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Up(options) => up::run(options),
            Command::Serve { service } => serve::run(service),
            Command::Migrate { service } => migrate::run(service),
            Command::Env => shell_env::run(),
            Command::Reset => reset::run(),
            Command::Token(options) => token::run(&options),
            Command::Admin(command) => admin::run(&command),
            Command::Keys(command) => keys::run(&command),
            Command::Audit(command) => audit_log::run(&command),
            Command::Events(command) => dead::run(&command),
        }
    }
}

/// 2 when something must be installed or set first and the message says what, 1 for the rest.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(|cause| cause.is::<data_plane::NotFound>()) {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// The error with its causes on one line. Some errors already repeat their cause; it is said once.
pub(crate) fn in_full(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |said, cause| {
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let cause = anyhow::anyhow!("disk full").context("cannot write: disk full").context("cannot start");
        assert_eq!(in_full(&cause), "cannot start: cannot write: disk full");
    }

    #[track_caller]
    fn accepts(line: &str) {
        if let Err(refusal) = Cli::try_parse_from(line.split(' ')) {
            panic!("`{line}` was refused: {refusal}");
        }
    }

    #[track_caller]
    fn refuses(line: &str, because: &str) {
        let refusal = Cli::try_parse_from(line.split(' ')).expect_err(line).to_string();
        assert!(refusal.contains(because), "`{line}` was refused with: {refusal}");
    }

    #[test]
    fn every_documented_line_parses() {
        accepts("mestres up");
        accepts("mestres up --products 100000 --gateways 2 --json");
        for service in ["gateway", "catalog", "metrics", "cache-invalidator", "agenda", "notifications"] {
            accepts(&format!("mestres serve {service}"));
        }
        accepts("mestres serve orders");
        accepts("mestres serve payments-sandbox");
        accepts("mestres migrate");
        accepts("mestres migrate catalog");
        accepts("mestres migrate orders");
        accepts("mestres env");
        accepts("mestres reset");
        accepts("mestres token --role admin --user 1");
        accepts("mestres token --role admin --user 1 --ttl 5");
        accepts("mestres admin create --email ana@example.com --name Ana");
        accepts("mestres keys rotate");
        accepts("mestres keys rotate --signing-key-file key.pem --jwks-file jwks.json");
        accepts("mestres events dead");
        accepts("mestres events dead --redeliver 7");
        accepts("mestres events dead --drop 7");
        accepts("mestres audit verify");
        accepts("mestres audit verify --service orders");
        accepts(&format!("mestres audit verify --service orders --head 42:{}", "0a".repeat(32)));
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        refuses("mestres serve florist", "cache-invalidator");
        refuses("mestres up --gateways 0", "1..=16");
        refuses("mestres up --products many", "--products");
        refuses("mestres token --role barista --user 1", "customer");
        refuses("mestres token --role admin --user 0", "--user");
        refuses("mestres token --role admin", "--user");
        refuses("mestres token --role admin --user 1 --ttl 61", "1..=60");
        refuses("mestres admin create --email ana@example.com", "--name");
        refuses("mestres keys rotate --jwks-file jwks.json", "--signing-key-file");
        refuses("mestres events dead --redeliver 7 --drop 7", "--drop");
        refuses("mestres audit verify --service orders --head 42", "hexadecimal");
        refuses(&format!("mestres audit verify --head 42:{}", "0a".repeat(32)), "--service");
    }
}
