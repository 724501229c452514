//! `mestres token`: a token for the local shop, signed with its development key.

use std::io::Write as _;

use anyhow::Context as _;
use bootstrap::config;
use clap::{Args, ValueEnum};
use rls::{Claims, SigningKey, UserRole};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::dev_key;
use crate::folder::Folder;

const ISSUER: &str = "https://mestrescafe.dev";
const AUDIENCE: &str = "mestrescafe";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What its bearer is
    #[arg(long)]
    role: Role,
    /// Who its bearer is: a user's id
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    user: i64,
    /// How long it is valid, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60, visible_alias = "minutes",
          value_parser = clap::value_parser!(i64).range(1..=60))]
    ttl: i64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Admin,
    Staff,
    Customer,
}

/// Prints the token and nothing else, so that `$(mestres token …)` works.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = Folder::find()?;
    let token = sign(options, &dev_key::read(&folder)?, OffsetDateTime::now_utc());
    writeln!(std::io::stdout(), "{token}").context("cannot print the token")
}

fn sign(options: &Options, key: &SigningKey, now: OffsetDateTime) -> String {
    key.access_token(&Claims {
        iss: config::optional("MESTRES_JWT_ISSUER").unwrap_or_else(|| ISSUER.to_owned()),
        aud: config::optional("MESTRES_JWT_AUDIENCE").unwrap_or_else(|| AUDIENCE.to_owned()),
        sub: options.user.to_string(),
        role: match options.role {
            Role::Admin => UserRole::Admin,
            Role::Staff => UserRole::Staff,
            Role::Customer => UserRole::Customer,
        },
        exp: (now + Duration::minutes(options.ttl)).unix_timestamp(),
        iat: now.unix_timestamp(),
        nbf: now.unix_timestamp(),
        jti: Uuid::now_v7().to_string(),
        sid: Uuid::now_v7().to_string(),
        auth_time: None,
    })
}

#[cfg(test)]
mod tests {
    use rls::{Caller, UserId, Verifier};

    use super::*;

    #[test]
    fn services_accept_the_token_for_whom_it_names_and_not_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::of(home.path());
        folder.create().unwrap();
        dev_key::ensure(&folder).unwrap();
        let key = dev_key::read(&folder).unwrap();
        let verifier =
            Verifier::from_jwks_file(folder.jwks(), ISSUER, AUDIENCE, rls::Environment::Development).unwrap();
        let now = OffsetDateTime::now_utc();
        let token = |role, issued| sign(&Options { role, user: 42, ttl: 60 }, &key, issued);
        let caller = |token: &str| verifier.token(token).map(|token| token.caller);

        assert_eq!(caller(&token(Role::Admin, now)), Ok(Caller::Admin(UserId(42))));
        assert_eq!(caller(&token(Role::Staff, now)), Ok(Caller::Staff(UserId(42))));
        assert_eq!(caller(&token(Role::Customer, now)), Ok(Caller::User(UserId(42))));
        assert_eq!(
            caller(&token(Role::Admin, now - Duration::minutes(62))),
            Err(rls::Unauthenticated::Expired)
        );
    }

    #[test]
    fn the_key_is_made_once() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::of(home.path());
        folder.create().unwrap();

        dev_key::ensure(&folder).unwrap();
        let first = std::fs::read(folder.jwks()).unwrap();
        dev_key::ensure(&folder).unwrap();

        assert_eq!(std::fs::read(folder.jwks()).unwrap(), first);
    }
}
