//! Looks for everything that must not be, once everything is quiet.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::timeout;
use uuid::Uuid;

use crate::history::History;
use crate::invariants::{self, CHECKED, Evidence, Violation};
use crate::product;
use crate::provider;
use crate::system::{Database, Part, System};

/// Messages of the purge log that are read at once.
const BATCH: usize = 500;
const AUDIT_WITHIN: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_secs(1);

/// Makes the views and remembers what was there before the run.
pub(crate) async fn prepare(system: &System) -> Result<()> {
    for database in CHECKED {
        invariants::install(&mut system.admin(database).await?, database).await?;
    }
    invariants::remember_stock(&mut system.admin(Database::Orders).await?).await
}

/// Every violation that there is.
pub(crate) async fn run(system: &System, history: &History) -> Result<Vec<Violation>> {
    let logs = history.lock().clone();
    let evidence = Evidence {
        logs,
        movements: provider::ledger(system).await?,
        purged: purged(system).await?,
        shown: shown(system).await?,
    };
    let mut violations: Vec<Violation> = evidence
        .logs
        .violations
        .iter()
        .map(|what| Violation { invariant: "client or process".to_owned(), what: what.clone() })
        .collect();
    for database in CHECKED {
        let mut connection = system.admin(database).await?;
        invariants::load(&mut connection, &evidence).await.context("what the checker knows")?;
        let mut found = invariants::violations(&mut connection).await?;
        for violation in &mut found {
            violation.what = format!("{}: {}", database.schema(), violation.what);
        }
        violations.extend(found);
        violations.extend(audit(system, database).await?);
    }
    violations.extend(broken_logs(system));
    Ok(violations)
}

/// What processes say only when they are wrong.
fn broken_logs(system: &System) -> Vec<Violation> {
    let mut found = BTreeSet::new();
    for part in Part::ALL {
        for line in system.log(part).lines() {
            if line.contains("panicked at") || line.contains("already a transaction in progress") {
                found.insert((part, line.to_owned()));
            }
        }
    }
    let violation = |(part, line): (Part, String)| Violation {
        invariant: "broken process".to_owned(),
        what: format!("{part}: {line}"),
    };
    found.into_iter().map(violation).collect()
}

/// Asks the product itself whether its logs of what staff did are whole.
async fn audit(system: &System, database: Database) -> Result<Option<Violation>> {
    let verify = tokio::process::Command::new(product::binary())
        .args(["audit", "verify", "--service", database.schema()])
        .env_clear()
        .env("MESTRES_DATABASE_URL", system.login_url(database))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let verified = timeout(AUDIT_WITHIN, verify).await.context("verifying takes too long")??;
    let said =
        String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
    let violation = Violation { invariant: "audit log".to_owned(), what: said };
    Ok((!verified.status.success()).then_some(violation))
}

/// The events whose purges are on the log.
async fn purged(system: &System) -> Result<Vec<Uuid>> {
    let nats = async_nats::connect(system.nats_url()).await.context("NATS")?;
    let stream =
        async_nats::jetstream::new(nats).get_stream(tag_cache::log::STREAM).await.context("the purge log")?;
    let config = pull::Config { ack_policy: AckPolicy::None, headers_only: true, ..pull::Config::default() };
    let consumer = stream.create_consumer(config).await.context("a reader of the purge log")?;
    let mut ids = BTreeSet::new();
    loop {
        let mut batch = consumer
            .fetch()
            .max_messages(BATCH)
            .expires(SILENCE)
            .messages()
            .await
            .context("reading the purge log")?;
        let mut read = 0;
        while let Some(Ok(message)) = batch.next().await {
            read += 1;
            let id =
                message.headers.as_ref().and_then(|headers| headers.get(async_nats::header::NATS_MESSAGE_ID));
            // A purge that an admin asked for belongs to no event.
            ids.extend(id.and_then(|id| Uuid::parse_str(id.as_str().split(':').next()?).ok()));
        }
        if read == 0 {
            return Ok(ids.into_iter().collect());
        }
    }
}

/// What both gateways show for every product.
async fn shown(system: &System) -> Result<Vec<(String, i64, i64)>> {
    let products: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM catalog.products WHERE is_active ORDER BY id")
            .fetch_all(&mut system.admin(Database::Catalog).await?)
            .await?;
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    let mut shown = Vec::new();
    for (index, gateway) in system.gateways.iter().enumerate() {
        for product in &products {
            let url = format!("http://{gateway}/api/v1/products/{product}");
            let page: Value = http.get(url).send().await.context("a gateway is away")?.json().await?;
            let amount = page["data"]["product"]["variants"][0]["price"]["amount"].as_i64();
            shown.push((
                format!("gateway-{index}"),
                *product,
                amount.with_context(|| format!("no price in {page}"))?,
            ));
        }
    }
    Ok(shown)
}
