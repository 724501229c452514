//! `mestres migrate [service]`: brings databases to the schema of this version, and declares the streams.
//!
//! With `MESTRES_DATABASE_ADMIN_URL` roles, logins and databases are made first, with the passwords of the local
//! shop. With `MESTRES_DATABASE_OWNER_URL` alone they must be there: in production they are made beforehand, by
//! whoever holds the superuser's password. Streams are declared when `NATS_URL` is set.

use std::io::Write as _;

use anyhow::{Context as _, ensure};
use bootstrap::config::{self, Environment};

use crate::database::{self, Schema};
use crate::folder::Folder;
use crate::secrets::Secrets;

pub(crate) fn run(only: Option<Schema>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let owner_url = owner_url().await?;
        let schemas = only.map_or(Schema::ALL.to_vec(), |schema| vec![schema]);
        let applied = database::migrate(&owner_url, &schemas).await?;
        let mut done = format!("{applied} migrations applied");
        if let Some(nats_url) = config::optional("NATS_URL") {
            database::declare_streams(&nats_url).await?;
            done += ", streams declared";
        }
        writeln!(std::io::stdout(), "{done}").context("cannot say so")
    })
}

async fn owner_url() -> anyhow::Result<String> {
    let owner_url = config::optional("MESTRES_DATABASE_OWNER_URL");
    let Some(admin_url) = config::optional("MESTRES_DATABASE_ADMIN_URL") else {
        return owner_url.context(
            "set MESTRES_DATABASE_OWNER_URL (login mc_migrate), or MESTRES_DATABASE_ADMIN_URL (superuser) to make \
             the roles too; for the local shop: eval \"$(mestres env)\"",
        );
    };
    ensure!(
        Environment::read()? == Environment::Development,
        "logins with the local shop's passwords are for development: in production set MESTRES_DATABASE_OWNER_URL \
         and not MESTRES_DATABASE_ADMIN_URL"
    );
    let folder = Folder::find()?;
    folder.create()?;
    let secrets = Secrets::load_or_create(&folder)?;
    database::prepare(&admin_url, &secrets).await?;
    match owner_url {
        Some(owner_url) => Ok(owner_url),
        None => database::owner_url(&admin_url, &secrets),
    }
}
