//! `mestres audit verify`: whether the services' logs of what staff did are as they were written.
//!
//! With `MESTRES_DATABASE_URL`, the login of the one service that is looked at; otherwise in the local shop, which
//! must run. Logs are walked from their beginning. The head of each is printed: kept elsewhere and given to a later
//! walk by `--head`, it proves that nothing up to it was cut off.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use audit::{Head, VerifyError};
use bootstrap::config;
use clap::{Args, Subcommand};

use crate::database::{self, Schema};
use crate::folder::Folder;
use crate::secrets::Secrets;
use crate::up::state::{Phase, State};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Walk every log, or one, and name the first row that is not as it was written
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only this service's log
    #[arg(long)]
    service: Option<Schema>,
    /// What an earlier walk of this log printed; it must still be part of it
    #[arg(long, requires = "service", value_name = "ROW:HASH")]
    head: Option<Head>,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Verify(Verify { service, head }) = command;
    let logs = logs(*service)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let mut broken = Vec::new();
        for (schema, url) in logs {
            if !is_whole(schema, &url, *head).await? {
                broken.push(schema.word());
            }
        }
        if !broken.is_empty() {
            bail!("not as it was written: the log of {}", broken.join(", "));
        }
        Ok(())
    })
}

/// Walks one log, and says what was found.
async fn is_whole(schema: Schema, url: &str, head: Option<Head>) -> anyhow::Result<bool> {
    let name = schema.word();
    let mut connection =
        audit::connect(url).await.with_context(|| format!("cannot reach the database of {name}"))?;
    let (line, whole) = match audit::verify(&mut connection, head).await {
        Ok(None) => (format!("{name}: no log"), true),
        Ok(Some(verified)) => {
            let head =
                verified.head.map_or("nothing was ever written".to_owned(), |head| format!("head {head}"));
            (format!("{name}: {} rows checked, {head}", verified.rows), true)
        }
        Err(VerifyError::Broken { id, what }) => (format!("{name}: BROKEN at row {id}: {what}"), false),
        Err(error @ VerifyError::Database(_)) => {
            return Err(error).with_context(|| format!("cannot read the log of {name}"));
        }
    };
    writeln!(std::io::stdout(), "{line}").context("cannot say so")?;
    Ok(whole)
}

/// Whose logs are looked at, and the login for each.
fn logs(only: Option<Schema>) -> anyhow::Result<Vec<(Schema, String)>> {
    if let Some(url) = config::optional("MESTRES_DATABASE_URL") {
        let schema = only.context("say whose database MESTRES_DATABASE_URL names, by --service")?;
        return Ok(vec![(schema, url)]);
    }
    let folder = Folder::find()?;
    let state = State::of_running(&folder)?.filter(|state| state.phase == Phase::Ready);
    let state = state.context(
        "no shop runs here; start one with `mestres up`, or set MESTRES_DATABASE_URL to that of a service",
    )?;
    let admin_url =
        state.export("MESTRES_DATABASE_ADMIN_URL").context("the shop does not say where its data is")?;
    let secrets = Secrets::load_or_create(&folder)?;
    let schemas = only.map_or(Schema::ALL.to_vec(), |schema| vec![schema]);
    schemas
        .into_iter()
        .map(|schema| Ok((schema, database::login_url(admin_url, schema, &secrets)?)))
        .collect()
}
