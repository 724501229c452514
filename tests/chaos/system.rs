//! The whole shop as processes, with a network between them that can be spoiled.

mod data;
mod links;
mod part;
mod process;
mod servers;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sqlx::PgConnection;
use testkit::jwt::{TestKeys, key_set};
use tokio::sync::watch;

pub(crate) use data::Database;
use links::Links;
pub(crate) use part::{LINKS, Part, Server, is_link};
use process::Processes;
use servers::Servers;

use crate::plan::{Ailment, Target};

/// What the provider asks of its callers.
const PROVIDER_SECRET: &str = "sk_test_chaos";
/// What the provider signs its words with.
const WEBHOOK_SECRET: &str = "whsec_chaos";
/// A buyer waits no longer for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// Patience with a start on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// The first port of services, and how many there are.
const PORT_MIN: u32 = 10_000;
const PORTS: u32 = 20_000;

/// A running shop. Everything ends with it.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) keys: TestKeys,
    pub(crate) gateways: [SocketAddr; 2],
    /// Where the payment provider answers, around its link.
    pub(crate) provider: SocketAddr,
    /// What everybody outside asks with.
    pub(crate) http: reqwest::Client,
    /// Counts how often everybody was told to hang up.
    hang_ups: watch::Sender<u64>,
    folder: PathBuf,
    processes: Processes,
    links: Links,
    servers: Servers,
}

impl System {
    /// Starts everything and waits until it is ready. Logs go to `folder`.
    pub(crate) async fn start(folder: &Path) -> Result<Arc<Self>> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let servers = Box::pin(Servers::start()).await;
        data::prepare(&servers).await?;
        let keys = key_set();
        let addresses: BTreeMap<Part, SocketAddr> =
            Part::ALL.into_iter().zip(free_addresses::<10>()?).collect();
        let links = Links::start(&addresses, &servers).await;
        let gateways = [addresses[&Part::Gateway0], addresses[&Part::Gateway1]];
        let provider = addresses[&Part::Provider];
        let http = reqwest::Client::builder().timeout(PATIENCE).build().context("no client")?;
        let processes = Processes::new(folder, http.clone());
        let internal: [SocketAddr; 10] = free_addresses()?;
        for (part, internal) in Part::ALL.into_iter().zip(internal) {
            processes.add(part, internal, environment(part, &addresses, &links, &keys, folder));
        }
        let hang_ups = watch::Sender::new(0);
        let folder = folder.to_owned();
        let system = Self { keys, gateways, provider, http, hang_ups, folder, processes, links, servers };
        for part in Part::ALL {
            system.processes.spawn(part, None)?;
        }
        system.wait_until_ready().await?;
        Ok(Arc::new(system))
    }

    /// Where the logs are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until every process says so.
    pub(crate) async fn wait_until_ready(&self) -> Result<()> {
        for part in Part::ALL {
            self.processes.wait_until_ready(part, READY_WITHIN).await?;
        }
        Ok(())
    }

    /// Starts what ended by itself again; to be called all the time. Answers what crashed.
    pub(crate) fn revive(&self) -> Result<Vec<String>> {
        self.processes.revive()?;
        Ok(self.processes.take_crashes())
    }

    /// Ends it at once. Nothing starts it again before [`bring_back`](Self::bring_back).
    pub(crate) async fn kill(&self, whom: Target) -> Result<()> {
        match whom {
            Target::Part(part) => self.processes.kill(part),
            Target::Server(server) => {
                self.servers.kill(server).await;
                Ok(())
            }
        }
    }

    /// Starts what was killed; a part with these failpoints.
    pub(crate) async fn bring_back(&self, whom: Target, failpoints: Option<&str>) -> Result<()> {
        match whom {
            Target::Part(part) => self.processes.spawn(part, failpoints),
            Target::Server(server) => {
                self.servers.restart(server).await;
                Ok(())
            }
        }
    }

    /// Stops it where it is.
    pub(crate) async fn stop(&self, whom: Target) -> Result<()> {
        self.signal(whom, Signal::SIGSTOP).await
    }

    /// Lets it go on.
    pub(crate) async fn go_on(&self, whom: Target) -> Result<()> {
        self.signal(whom, Signal::SIGCONT).await
    }

    async fn signal(&self, whom: Target, signal: Signal) -> Result<()> {
        match whom {
            Target::Part(part) => self.processes.signal(part, signal),
            Target::Server(server) => self.servers.signal(server, signal).await,
        }
    }

    /// Spoils the network between two.
    pub(crate) fn spoil(&self, link: &str, ailment: Ailment) {
        self.links.spoil(link, ailment);
    }

    /// Makes the network between two well again.
    pub(crate) fn heal(&self, link: &str) {
        self.links.heal(link);
    }

    /// Whether the process says that it is ready, now.
    pub(crate) async fn is_ready(&self, part: Part) -> bool {
        self.processes.is_ready(part).await.is_ok()
    }

    /// Lets everybody who waits for an answer drop their connection.
    pub(crate) fn hang_up(&self) {
        self.hang_ups.send_modify(|count| *count += 1);
    }

    /// Changes when everybody is to hang up.
    pub(crate) fn hanging_up(&self) -> watch::Receiver<u64> {
        self.hang_ups.subscribe()
    }

    /// The end of what the process has said so far.
    pub(crate) fn log_mark(&self, part: Part) -> u64 {
        self.processes.log_mark(part)
    }

    /// What the process has said since that mark.
    pub(crate) fn log_since(&self, part: Part, mark: u64) -> String {
        self.processes.log_since(part, mark)
    }

    /// Everything that the process has said, over all its lives.
    pub(crate) fn log(&self, part: Part) -> String {
        self.processes.log(part)
    }

    /// A connection as superuser, around every link.
    pub(crate) async fn admin(&self, database: Database) -> Result<PgConnection> {
        data::admin(&self.servers, database).await
    }

    /// NATS, around every link.
    pub(crate) fn nats_url(&self) -> String {
        self.servers.nats.url()
    }

    /// Redis, around every link.
    pub(crate) fn redis_url(&self) -> String {
        self.servers.redis.url()
    }

    /// The mailbox of development.
    pub(crate) fn mailbox_url(&self) -> String {
        format!("http://{}/mailbox.json", self.processes.internal(Part::Notifications))
    }

    /// The service's own login, around every link.
    pub(crate) fn login_url(&self, database: Database) -> String {
        data::login_url(&self.servers, database)
    }
}

/// The settings of one process, as it would find them in production, but for the links in between.
fn environment(
    part: Part,
    addresses: &BTreeMap<Part, SocketAddr>,
    links: &Links,
    keys: &TestKeys,
    folder: &Path,
) -> Vec<(&'static str, String)> {
    let at = |target: Part| format!("http://{}", links.address(part, target.side(), addresses[&target]));
    let issuer = match part {
        Part::Gateway0 | Part::Gateway1 => Some("gateway"),
        Part::Accounts => Some("accounts"),
        Part::Notifications => Some("notifications"),
        Part::Orders => Some("orders"),
        Part::Agenda | Part::Catalog | Part::Invalidator | Part::Metrics | Part::Provider => None,
    };
    let mut environment = vec![
        ("REDIS_URL", links.server_url(part, Server::Redis)),
        ("NATS_URL", links.server_url(part, Server::Nats)),
        ("MESTRES_JWKS_FILE", keys.jwks_file.display().to_string()),
        ("MESTRES_ASSERTION_JWKS_FILE", keys.assertions_file.display().to_string()),
        ("MESTRES_TOKEN_KEY", "5e".repeat(32)),
        ("MESTRES_SECRET_KEY", "c0".repeat(32)),
        ("MESTRES_RELAYS", "catalog,accounts,agenda,notifications,orders".to_owned()),
        ("MESTRES_LOAD_GENERATORS", "127.0.0.0/8".to_owned()),
        ("MESTRES_GATEWAY_REPLICAS", "2".to_owned()),
        ("MESTRES_LOG", "info".to_owned()),
        ("MESTRES_GRPC_ADDR", addresses[&part].to_string()),
        ("MESTRES_ACCOUNTS_URL", at(Part::Accounts)),
        ("MESTRES_AGENDA_URL", at(Part::Agenda)),
        ("MESTRES_CATALOG_URL", at(Part::Catalog)),
        ("MESTRES_METRICS_URL", at(Part::Metrics)),
        ("MESTRES_NOTIFICATIONS_URL", at(Part::Notifications)),
        ("MESTRES_ORDERS_URL", at(Part::Orders)),
    ];
    if let Some(database) = Database::of(part) {
        environment.push(("MESTRES_DATABASE_URL", links.database_url(part, database)));
    }
    if let Some(issuer) = issuer {
        environment
            .push(("MESTRES_ASSERTION_KEY_FILE", keys.assertion_key_file(issuer).display().to_string()));
    }
    match part {
        Part::Accounts => {
            environment.push(("MESTRES_SIGNING_KEY_FILE", keys.signing_key_file.display().to_string()));
        }
        Part::Notifications => environment.push(("MESTRES_WEBHOOK_ALLOW_LOOPBACK", "1".to_owned())),
        Part::Orders => environment.extend([
            ("MESTRES_DATABASE_POOL_SIZE", "16".to_owned()),
            ("MESTRES_PAYMENTS_PROVIDER", "sandbox".to_owned()),
            ("MESTRES_PAYMENTS_URL", at(Part::Provider)),
            ("MESTRES_PAYMENTS_SECRET", PROVIDER_SECRET.to_owned()),
            ("MESTRES_PAYMENTS_WEBHOOK_SECRETS", WEBHOOK_SECRET.to_owned()),
        ]),
        Part::Provider => environment.extend([
            ("MESTRES_SANDBOX_ADDR", addresses[&part].to_string()),
            (
                "MESTRES_SANDBOX_WEBHOOK_URL",
                format!("{}/api/v1/payments/webhooks/sandbox", at(Part::Gateway0)),
            ),
            ("MESTRES_SANDBOX_SECRET", PROVIDER_SECRET.to_owned()),
            ("MESTRES_SANDBOX_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
            // A provider forgets no charge when a machine of its own goes down.
            ("MESTRES_SANDBOX_STATE_FILE", folder.join("provider-state.json").display().to_string()),
        ]),
        Part::Gateway0 | Part::Gateway1 => environment.extend([
            ("MESTRES_HOST", addresses[&part].ip().to_string()),
            ("PORT", addresses[&part].port().to_string()),
            ("MESTRES_INSTANCE", part.to_string()),
        ]),
        Part::Agenda | Part::Catalog | Part::Invalidator | Part::Metrics => {}
    }
    environment
}

/// Loopback addresses that nobody listens on, each handed out once. They lie below the ports that the system gives to
/// outgoing connections: one of those could take the address of a service while it is down.
fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut addresses = Vec::with_capacity(N);
    while addresses.len() < N {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        ensure!(step < PORTS, "no free port");
        let port = PORT_MIN + (std::process::id() % 100 * 200 + step) % PORTS;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).context("a port")?));
        if TcpListener::bind(address).is_ok() {
            addresses.push(address);
        }
    }
    Ok(addresses.try_into().expect("as many as were asked for"))
}
