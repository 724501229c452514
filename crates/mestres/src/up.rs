//! `mestres up`: the whole shop on this machine, from nothing to the first answer, and back to nothing.

mod data;
mod narrator;
mod running;
mod services;
pub(crate) mod state;
mod table;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bootstrap::config::Environment;
use catalog::seed::{self, Loaded};
use clap::Args;
use futures_util::future::join_all;
use sqlx::migrate::MigrateError;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::database::{self, Schema};
use crate::folder::Folder;
use crate::secrets::Secrets;
use crate::supervise::{Event, Supervised};
use crate::{assertion_keys, dev_key};
use data::DataPlane;
use narrator::Narrator;
use services::{Plan, Stops};
use state::{Lock, Phase, State};
use table::{Line, Style, Table, took_ms};

/// From the start of the services to all of them ready.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);
/// After this long without all ready, we say who is missing and why.
const EXPLAIN_AFTER: Duration = Duration::from_secs(5);
/// A service that ends this often before it was ever ready has a cause that no further start removes.
const FIRST_STARTS_MAX: u32 = 3;
/// Once told to stop, servers that have begun to start have this long to come up, and are then stopped in order.
const SERVERS_UP_WITHIN: Duration = Duration::from_millis(1_500);
/// A server that does not start is tried again no more often than this.
const LOOK_AFTER_SERVERS_EVERY: Duration = Duration::from_secs(1);
/// Progress of a large load is told at these steps.
const TELL_EVERY_PRODUCTS: usize = 10_000;
/// Events that wait while a line is printed.
const EVENTS_MAX: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fill an empty catalog with this many products: the demo shop's, then generated ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    products: Option<u32>,
    /// How many gateways to run, on ports 3000, 3001, …
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    gateways: u16,
    /// Say everything as one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Returns when the shop was told to stop and has stopped, or at once when another `up` runs it already.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    ensure!(
        Environment::read()? == Environment::Development,
        "`mestres up` is for development, and the environment says production; unset NODE_ENV and MESTRES_ENV"
    );
    let folder = Folder::find()?;
    folder.create()?;
    let table = Table::new(if options.json { Style::Json } else { Style::for_people() });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let outcome = runtime.block_on(async {
        let stop = stop_requested()?;
        match Lock::take(&folder)? {
            Some(_held_to_the_end) => Box::pin(start_and_stop(&options, &folder, table, &stop)).await,
            None => running::show(&folder, table).await,
        }
    });
    // A download that was interrupted may still sit in a blocking call; it ends with the process.
    runtime.shutdown_background();
    outcome
}

/// Cancelled when somebody presses Ctrl-C or sends SIGTERM. The hang-up of a terminal is left to its usual
/// effect, so that `nohup` has its own: either way nothing outlives us.
fn stop_requested() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let stop = CancellationToken::new();
    let requested = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        requested.cancel();
    });
    Ok(stop)
}

async fn start_and_stop(
    options: &Options,
    folder: &Folder,
    table: Table,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut shop =
        Shop { narrator: Narrator::begin(folder, table)?, data: DataPlane::default(), services: Vec::new() };
    let outcome = shop.run(options, folder, stop).await;
    let stopped = shop.close(folder).await;
    outcome.and(stopped)
}

/// Local data can be of a branch that went another way; then a person has to choose.
async fn migrate(owner_url: &str) -> anyhow::Result<usize> {
    database::migrate(owner_url, &Schema::ALL).await.map_err(|error| {
        let of_another_version = error.chain().any(|cause| {
            matches!(
                cause.downcast_ref(),
                Some(
                    MigrateError::VersionMismatch(_)
                        | MigrateError::VersionMissing(_)
                        | MigrateError::Dirty(_)
                )
            )
        });
        if of_another_version {
            error.context(
                "the local data was made by other migrations than these; `mestres reset` starts anew",
            )
        } else {
            error
        }
    })
}

/// What has been started so far, so that it can be stopped from any point of the start.
struct Shop {
    narrator: Narrator,
    data: DataPlane,
    /// Name, turn at the stop, process.
    services: Vec<(String, Stops, Supervised)>,
}

impl Shop {
    /// Starts everything and keeps it running until `stop`.
    async fn run(
        &mut self,
        options: &Options,
        folder: &Folder,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.start_data_plane(folder, stop).await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        let (sender, mut events) = mpsc::channel(EVENTS_MAX);
        tokio::select! {
            outcome = self.open(options, folder, begun, sender, &mut events) => outcome,
            () = stop.cancelled() => Ok(()),
        }
    }

    /// A server that is just coming up is waited for: it would outlive us by a moment.
    async fn start_data_plane(&mut self, folder: &Folder, stop: &CancellationToken) -> anyhow::Result<()> {
        let starting = self.data.start(folder, &mut self.narrator);
        tokio::pin!(starting);
        tokio::select! {
            outcome = &mut starting => return outcome,
            () = stop.cancelled() => {}
        }
        tokio::time::timeout(SERVERS_UP_WITHIN, starting).await.unwrap_or(Ok(()))
    }

    /// From the data plane up. Returns only with an error.
    async fn open(
        &mut self,
        options: &Options,
        folder: &Folder,
        begun: Instant,
        sender: mpsc::Sender<Event>,
        events: &mut mpsc::Receiver<Event>,
    ) -> anyhow::Result<()> {
        let secrets = Secrets::load_or_create(folder)?;
        dev_key::ensure(folder)?;
        assertion_keys::ensure(folder)?;
        let schema_begun = Instant::now();
        let admin_url = &self.data.admin_url;
        database::prepare(admin_url, &secrets).await?;
        let owner_url = database::owner_url(admin_url, &secrets)?;
        let (applied, ()) =
            tokio::try_join!(migrate(&owner_url), database::declare_streams(&self.data.nats_url),)?;
        let loaded = self.load_demo_shop(options, &secrets).await?;
        let in_stock = self.load_demo_stock(&secrets).await?;
        self.load_demo_people(&secrets).await?;
        self.narrator.say(Line::Schema {
            applied,
            products: loaded.products,
            categories: loaded.categories,
            took_ms: took_ms(schema_begun),
        })?;

        let services_begun = Instant::now();
        let plan = Plan::new(folder, &self.data, &secrets, options.gateways)?;
        self.narrator.state.services = plan.processes();
        self.narrator.state.exports = plan.exports.clone();
        for (program, stops) in plan.programs.clone() {
            self.services.push((program.name.clone(), stops, Supervised::start(program, sender.clone())));
        }
        self.until_all_ready(events).await?;
        self.narrator.say(Line::Services {
            names: plan.names(),
            healthy: self.services.len(),
            took_ms: took_ms(services_begun),
        })?;
        for line in plan.addresses(in_stock) {
            self.narrator.say(line)?;
        }
        self.narrator.state.phase = Phase::Ready;
        self.narrator.say(Line::Ready { took_ms: took_ms(begun) })?;

        self.keep_open(events).await
    }

    async fn load_demo_shop(&mut self, options: &Options, secrets: &Secrets) -> anyhow::Result<Loaded> {
        let url = database::login_url(&self.data.admin_url, Schema::Catalog, secrets)?;
        let wanted = match options.products {
            Some(products) => usize::try_from(products).context("too many products for this machine")?,
            None => seed::DEMO_PRODUCTS,
        };
        let loaded = self.load(&url, wanted).await.context("cannot load the demo shop")?;
        if options.products.is_some() && loaded.products != wanted {
            let found = loaded.products;
            let text = format!("the catalog has {found} products; `mestres reset` first to get {wanted}");
            self.narrator.say(Line::Note { text })?;
        }
        Ok(loaded)
    }

    /// As much of each variant as the catalog says there is, and coupons. What is there already stays as it is. Answers
    /// a variant of which there is plenty, unless the catalog is empty.
    async fn load_demo_stock(&self, secrets: &Secrets) -> anyhow::Result<Option<i64>> {
        let url = |schema| database::login_url(&self.data.admin_url, schema, secrets);
        let stock = catalog::seed::stock(&url(Schema::Catalog)?).await?;
        let stock: Vec<orders::seed::Stock> = stock
            .into_iter()
            .map(|of| orders::seed::Stock {
                variant_id: of.variant_id,
                product_id: of.product_id,
                on_hand: of.on_hand,
            })
            .collect();
        orders::seed::load(&url(Schema::Orders)?, &stock, |_| {})
            .await
            .context("cannot load the demo stock")?;
        Ok(stock.iter().max_by_key(|of| of.on_hand).map(|of| of.variant_id))
    }

    /// The demo logins, and an agenda for the first customer among them.
    async fn load_demo_people(&mut self, secrets: &Secrets) -> anyhow::Result<()> {
        let logins = accounts::seed::DEMO_LOGINS;
        let admin_url = &self.data.admin_url;
        let accounts_url = database::login_url(admin_url, Schema::Accounts, secrets)?;
        let key = secrets.accounts_key()?;
        let loaded =
            accounts::seed::load(&accounts_url, &key, |_| {}).await.context("cannot load the demo logins")?;
        // In a fresh shop their ids are their places. Elsewhere nobody gets an agenda that is not theirs.
        if let Some(customer) = logins.iter().position(|login| login.role == "customer")
            && loaded.fresh == logins.len()
        {
            let agenda_url = database::login_url(admin_url, Schema::Agenda, secrets)?;
            let customer = i64::try_from(customer + 1).context("too many logins")?;
            agenda::seed::load(&agenda_url, customer, |_| {}).await.context("cannot load the demo agenda")?;
        }
        Ok(())
    }

    /// Loads, and says how far it is when that takes long.
    async fn load(&mut self, url: &str, wanted: usize) -> anyhow::Result<Loaded> {
        let (sender, mut steps) = mpsc::channel(EVENTS_MAX);
        let tell = move |so_far: usize| {
            // A step that finds no room is one of many.
            let _untold = sender.try_send(so_far);
        };
        let loading = seed::load(url, wanted, tell);
        tokio::pin!(loading);
        loop {
            tokio::select! {
                loaded = &mut loading => return loaded,
                Some(so_far) = steps.recv() => {
                    if so_far < wanted && so_far.is_multiple_of(TELL_EVERY_PRODUCTS) {
                        self.narrator.mention(&Line::Note { text: format!("{so_far} of {wanted} products loaded") });
                    }
                }
            }
        }
    }

    async fn until_all_ready(&mut self, events: &mut mpsc::Receiver<Event>) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + HEALTHY_WITHIN;
        let explain_at = tokio::time::Instant::now() + EXPLAIN_AFTER;
        let mut explained = false;
        let mut waiting: Vec<(String, u32)> =
            self.services.iter().map(|(name, ..)| (name.clone(), 0)).collect();
        while !waiting.is_empty() {
            tokio::select! {
                Some(event) = events.recv() => match event {
                    Event::Started { name, pid } => self.narrator.started(&name, pid)?,
                    Event::Ready { name, .. } => waiting.retain(|(other, _)| *other != name),
                    Event::Ended { name, why, last_lines, retry_in } => {
                        self.narrator.ended(&name)?;
                        let starts = waiting.iter_mut().find(|(other, _)| *other == name).map(|(_, starts)| {
                            *starts += 1;
                            *starts
                        });
                        if starts == Some(FIRST_STARTS_MAX) {
                            let end = last_lines.join("\n    ");
                            bail!("{name} {why}, {FIRST_STARTS_MAX} times in a row; its last lines:\n    {end}");
                        }
                        self.narrator.crashed(name, why, last_lines, retry_in);
                    }
                },
                () = tokio::time::sleep_until(explain_at), if !explained => {
                    explained = true;
                    for (name, _) in &waiting {
                        self.narrator.explain(name).await;
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    let names: Vec<&str> = waiting.iter().map(|(name, _)| name.as_str()).collect();
                    bail!("not ready within {HEALTHY_WITHIN:?}: {}; see .mestres/logs", names.join(", "));
                }
            }
        }
        Ok(())
    }

    /// Until told to stop: tells of crashes and recoveries, notes new process ids, and starts servers again.
    async fn keep_open(&mut self, events: &mut mpsc::Receiver<Event>) -> anyhow::Result<()> {
        let mut look_after_servers = tokio::time::interval(LOOK_AFTER_SERVERS_EVERY);
        loop {
            tokio::select! {
                Some(event) = events.recv() => match event {
                    Event::Started { name, pid } => self.narrator.started(&name, pid)?,
                    Event::Ready { name, took } => self.narrator.recovered(name, took),
                    Event::Ended { name, why, last_lines, retry_in } => {
                        self.narrator.ended(&name)?;
                        self.narrator.crashed(name, why, last_lines, retry_in);
                    }
                },
                _ = look_after_servers.tick() => self.data.revive(&mut self.narrator).await,
            }
        }
    }

    /// Gateways first, so that nothing new comes in; the data plane last, so that everybody can finish.
    async fn close(self, folder: &Folder) -> anyhow::Result<()> {
        let Self { mut narrator, data, services } = self;
        let begun = Instant::now();
        narrator.mention(&Line::Stopping);
        let (gateways, others): (Vec<_>, Vec<_>) =
            services.into_iter().partition(|(_, stops, _)| *stops == Stops::First);
        for group in [gateways, others] {
            join_all(group.into_iter().map(|(_, _, service)| service.stop())).await;
        }
        let stopped = data.stop().await;
        State::remove(folder);
        narrator.mention(&Line::Stopped { took_ms: took_ms(begun) });
        stopped
    }
}
