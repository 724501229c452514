//! `mestres admin create`: the first administrator, made by whoever may reach the accounts database.
//!
//! With `MESTRES_DATABASE_URL` and `MESTRES_SECRET_KEY`, those of the accounts service; otherwise in the local shop,
//! which must run.

use std::io::{IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, ensure};
use bootstrap::config;
use clap::{Args, Subcommand};

use crate::database::{self, Schema};
use crate::folder::Folder;
use crate::private_file;
use crate::secrets::{self, Secrets};
use crate::up::state::{Phase, State};

/// More than any password that is accepted.
const PASSWORD_BYTES_MAX: u64 = 4 * 1024;
/// Letters and digits that nobody takes for each other; 32 of them, so that each stands for five bits.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an administrator; the password is read from standard input, or made and printed once
    Create(Create),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The address to sign in with
    #[arg(long)]
    email: String,
    /// What the person is called
    #[arg(long)]
    name: String,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Create(Create { email, name }) = command;
    let (database_url, secret_key) = accounts_access()?;
    let given = given_password()?;
    let password = match &given {
        Some(given) => given.clone(),
        None => new_password()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let id = runtime.block_on(accounts::admin::create(&database_url, &secret_key, email, name, &password))?;
    let mut out = std::io::stdout();
    writeln!(out, "administrator {id} can sign in as {email}").context("cannot say so")?;
    if given.is_none() {
        writeln!(out, "password, shown only this once: {password}").context("cannot show the password")?;
    }
    Ok(())
}

/// The accounts service's own login and key.
fn accounts_access() -> anyhow::Result<(String, [u8; 32])> {
    let database_url = config::optional("MESTRES_DATABASE_URL");
    let secret_key = config::optional("MESTRES_SECRET_KEY");
    let (database_url, secret_key) = match (database_url, secret_key) {
        (Some(database_url), Some(secret_key)) => (database_url, secret_key),
        (None, None) => of_the_local_shop()?,
        (Some(_), None) => anyhow::bail!("MESTRES_SECRET_KEY is missing: that of the accounts service"),
        (None, Some(_)) => anyhow::bail!("MESTRES_DATABASE_URL is missing: that of the accounts service"),
    };
    Ok((
        database_url,
        secrets::bytes(&secret_key).context("MESTRES_SECRET_KEY is not 64 hexadecimal digits")?,
    ))
}

fn of_the_local_shop() -> anyhow::Result<(String, String)> {
    let folder = Folder::find()?;
    let state = State::of_running(&folder)?.filter(|state| state.phase == Phase::Ready);
    let state = state.context(
        "no shop runs here; start one with `mestres up`, or set MESTRES_DATABASE_URL and MESTRES_SECRET_KEY to \
         those of the accounts service",
    )?;
    let admin_url =
        state.export("MESTRES_DATABASE_ADMIN_URL").context("the shop does not say where its data is")?;
    let secrets = Secrets::load_or_create(&folder)?;
    Ok((database::login_url(admin_url, Schema::Accounts, &secrets)?, secrets.accounts_key))
}

/// The first line of standard input; `None` when nobody wrote one. A terminal is not asked: it would show the
/// password.
fn given_password() -> anyhow::Result<Option<String>> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(None);
    }
    let mut text = String::new();
    stdin
        .take(PASSWORD_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .context("cannot read the password from standard input")?;
    ensure!(u64::try_from(text.len())? <= PASSWORD_BYTES_MAX, "the password on standard input is too long");
    Ok(text.lines().next().filter(|line| !line.is_empty()).map(str::to_owned))
}

/// 120 random bits, in groups that can be read aloud.
fn new_password() -> anyhow::Result<String> {
    let letters = private_file::random::<24>()?.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let groups: Vec<String> = letters.chunks(6).map(|group| group.iter().collect()).collect();
    Ok(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_password_is_long_and_never_the_same() {
        let (one, other) = (new_password().unwrap(), new_password().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 27);
        assert!(one.bytes().all(|letter| letter == b'-' || ALPHABET.contains(&letter)), "{one}");
    }
}
