//! Which processes make up the shop, where each listens, and what each is told.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use accounts::seed::{DEMO_LOGINS, DemoLogin};
use anyhow::Context as _;

use crate::database::{self, Schema};
use crate::folder::Folder;
use crate::log_file::LogFile;
use crate::port::Ports;
use crate::secrets::Secrets;
use crate::serve::SUPERVISED;
use crate::service::Service;
use crate::supervise::Program;
use crate::up::data::DataPlane;
use crate::up::state::Process;
use crate::up::table::Line;

const GATEWAY_PORT: u16 = 3000;
const CATALOG_GRPC_PORT: u16 = 50_051;
const METRICS_GRPC_PORT: u16 = 50_052;
const INVALIDATOR_GRPC_PORT: u16 = 50_053;
const ACCOUNTS_GRPC_PORT: u16 = 50_054;
const AGENDA_GRPC_PORT: u16 = 50_055;
const NOTIFICATIONS_GRPC_PORT: u16 = 50_056;
const ORDERS_GRPC_PORT: u16 = 50_057;
const GATEWAY_INTERNAL_PORT: u16 = 9000;
const CATALOG_INTERNAL_PORT: u16 = 9001;
const METRICS_INTERNAL_PORT: u16 = 9002;
const INVALIDATOR_INTERNAL_PORT: u16 = 9003;
const ACCOUNTS_INTERNAL_PORT: u16 = 9004;
const AGENDA_INTERNAL_PORT: u16 = 9005;
const NOTIFICATIONS_INTERNAL_PORT: u16 = 9006;
const ORDERS_INTERNAL_PORT: u16 = 9007;
/// The provider that takes play money, its pages and its health, all on one port.
const SANDBOX_PORT: u16 = 9008;
/// Further gateways' internal ports, above those of the services.
const MORE_GATEWAYS_INTERNAL_PORT: u16 = 9010;
/// Services with events of their own.
const RELAYS: &str = "catalog,accounts,agenda,notifications,orders";
/// Whose requests no rate limit stops: programs on this machine, such as `ab` and k6.
const LOAD_GENERATORS: &str = "127.0.0.0/8,::1/128";

/// Of the first gateway, and of the `further`-th one after it.
fn gateway_internal_port(further: u16) -> u16 {
    match further {
        0 => GATEWAY_INTERNAL_PORT,
        further => MORE_GATEWAYS_INTERNAL_PORT + further - 1,
    }
}

fn gateway_name(further: u16) -> String {
    match further {
        0 => Service::Gateway.name().to_owned(),
        further => format!("{}-{}", Service::Gateway, further + 1),
    }
}

/// What no service inherits: each is given its own.
const WITHHELD: [&str; 12] = [
    "MESTRES_DATABASE_ADMIN_URL",
    "MESTRES_DATABASE_OWNER_URL",
    "MESTRES_DATABASE_URL",
    "MESTRES_JWKS_FILE",
    "MESTRES_SIGNING_KEY_FILE",
    "MESTRES_ASSERTION_KEY_FILE",
    "MESTRES_SECRET_KEY",
    "MESTRES_TOKEN_KEY",
    "MESTRES_PAYMENTS_SECRET",
    "MESTRES_PAYMENTS_WEBHOOK_SECRETS",
    "MESTRES_SANDBOX_SECRET",
    "MESTRES_SANDBOX_WEBHOOK_SECRET",
];

/// When a process is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stops {
    /// It lets requests in.
    First,
    /// Others need it.
    Last,
}

pub(crate) struct Plan {
    pub(crate) programs: Vec<(Program, Stops)>,
    /// Addresses and keys for whoever works with the running shop.
    pub(crate) exports: Vec<(String, String)>,
    gateways: Vec<SocketAddr>,
    /// Keeps the ports ours.
    _ports: Ports,
    /// What differs from the usual ports, in words.
    moved: Vec<String>,
}

impl Plan {
    pub(crate) fn new(
        folder: &Folder,
        data: &DataPlane,
        secrets: &Secrets,
        gateways: u16,
    ) -> anyhow::Result<Self> {
        let first_port = bootstrap::config::parsed("PORT", GATEWAY_PORT)?;
        let usual_ports = (0..gateways)
            .flat_map(|further| [first_port.saturating_add(further), gateway_internal_port(further)])
            .chain([CATALOG_GRPC_PORT, METRICS_GRPC_PORT, INVALIDATOR_GRPC_PORT])
            .chain([ACCOUNTS_GRPC_PORT, AGENDA_GRPC_PORT, NOTIFICATIONS_GRPC_PORT])
            .chain([CATALOG_INTERNAL_PORT, METRICS_INTERNAL_PORT, INVALIDATOR_INTERNAL_PORT])
            .chain([ACCOUNTS_INTERNAL_PORT, AGENDA_INTERNAL_PORT, NOTIFICATIONS_INTERNAL_PORT])
            .chain([ORDERS_GRPC_PORT, ORDERS_INTERNAL_PORT, SANDBOX_PORT]);
        let ports = Ports::new(usual_ports);
        let mut plan =
            Draft { folder, data, secrets, ports, moved: Vec::new(), programs: Vec::new(), urls: Vec::new() };

        let catalog = plan.grpc_port(Service::Catalog, CATALOG_GRPC_PORT, "MESTRES_CATALOG_URL")?;
        let metrics = plan.grpc_port(Service::Metrics, METRICS_GRPC_PORT, "MESTRES_METRICS_URL")?;
        let invalidator =
            plan.grpc_port(Service::CacheInvalidator, INVALIDATOR_GRPC_PORT, "MESTRES_INVALIDATOR_URL")?;
        let accounts = plan.grpc_port(Service::Accounts, ACCOUNTS_GRPC_PORT, "MESTRES_ACCOUNTS_URL")?;
        let agenda = plan.grpc_port(Service::Agenda, AGENDA_GRPC_PORT, "MESTRES_AGENDA_URL")?;
        let notifications =
            plan.grpc_port(Service::Notifications, NOTIFICATIONS_GRPC_PORT, "MESTRES_NOTIFICATIONS_URL")?;
        let orders = plan.grpc_port(Service::Orders, ORDERS_GRPC_PORT, "MESTRES_ORDERS_URL")?;
        let sandbox = plan.port(Service::PaymentsSandbox.name(), SANDBOX_PORT)?;
        plan.urls.push(("MESTRES_SANDBOX_URL", format!("http://{sandbox}")));
        let mut addresses = Vec::new();
        for further in 0..gateways {
            addresses.push(plan.port(&gateway_name(further), first_port.saturating_add(further))?);
        }
        let public_url = format!("http://localhost:{}", addresses[0].port());

        plan.add(
            Service::Catalog,
            Service::Catalog.name(),
            CATALOG_INTERNAL_PORT,
            [
                ("MESTRES_GRPC_ADDR", catalog.to_string()),
                ("MESTRES_DATABASE_URL", plan.database(Schema::Catalog)?),
                ("MESTRES_TOKEN_KEY", secrets.token_key.clone()),
            ],
        )?;
        plan.add(
            Service::Metrics,
            Service::Metrics.name(),
            METRICS_INTERNAL_PORT,
            [("MESTRES_GRPC_ADDR", metrics.to_string())],
        )?;
        plan.add(
            Service::CacheInvalidator,
            Service::CacheInvalidator.name(),
            INVALIDATOR_INTERNAL_PORT,
            [
                ("MESTRES_GRPC_ADDR", invalidator.to_string()),
                ("MESTRES_DATABASE_URL", plan.database(Schema::CacheInvalidator)?),
                ("MESTRES_RELAYS", RELAYS.to_owned()),
            ],
        )?;
        plan.add(
            Service::Accounts,
            Service::Accounts.name(),
            ACCOUNTS_INTERNAL_PORT,
            [
                ("MESTRES_GRPC_ADDR", accounts.to_string()),
                ("MESTRES_DATABASE_URL", plan.database(Schema::Accounts)?),
                ("MESTRES_SIGNING_KEY_FILE", folder.dev_key().display().to_string()),
                ("MESTRES_ASSERTION_KEY_FILE", plan.assertion_key(Service::Accounts)),
                ("MESTRES_SECRET_KEY", secrets.accounts_key.clone()),
                ("MESTRES_PUBLIC_URL", public_url.clone()),
            ],
        )?;
        plan.add(
            Service::Agenda,
            Service::Agenda.name(),
            AGENDA_INTERNAL_PORT,
            [
                ("MESTRES_GRPC_ADDR", agenda.to_string()),
                ("MESTRES_DATABASE_URL", plan.database(Schema::Agenda)?),
            ],
        )?;
        plan.add(
            Service::Notifications,
            Service::Notifications.name(),
            NOTIFICATIONS_INTERNAL_PORT,
            [
                ("MESTRES_GRPC_ADDR", notifications.to_string()),
                ("MESTRES_DATABASE_URL", plan.database(Schema::Notifications)?),
                ("MESTRES_ASSERTION_KEY_FILE", plan.assertion_key(Service::Notifications)),
                ("MESTRES_SECRET_KEY", secrets.notifications_key.clone()),
                ("MESTRES_PUBLIC_URL", public_url),
            ],
        )?;
        plan.add(
            Service::Orders,
            Service::Orders.name(),
            ORDERS_INTERNAL_PORT,
            [
                ("MESTRES_GRPC_ADDR", orders.to_string()),
                ("MESTRES_DATABASE_URL", plan.database(Schema::Orders)?),
                ("MESTRES_ASSERTION_KEY_FILE", plan.assertion_key(Service::Orders)),
                ("MESTRES_SECRET_KEY", secrets.orders_key.clone()),
                ("MESTRES_PAYMENTS_PROVIDER", "sandbox".to_owned()),
                ("MESTRES_PAYMENTS_URL", format!("http://{sandbox}")),
                ("MESTRES_PAYMENTS_SECRET", secrets.payments_secret.clone()),
                ("MESTRES_PAYMENTS_WEBHOOK_SECRETS", secrets.payments_webhook_secret.clone()),
            ],
        )?;
        plan.add_at(
            Service::PaymentsSandbox,
            Service::PaymentsSandbox.name(),
            sandbox,
            [
                ("MESTRES_SANDBOX_ADDR", sandbox.to_string()),
                (
                    "MESTRES_SANDBOX_WEBHOOK_URL",
                    format!("http://{}/api/v1/payments/webhooks/sandbox", addresses[0]),
                ),
                ("MESTRES_SANDBOX_SECRET", secrets.payments_secret.clone()),
                ("MESTRES_SANDBOX_WEBHOOK_SECRET", secrets.payments_webhook_secret.clone()),
                ("MESTRES_SANDBOX_STATE_FILE", folder.sandbox().display().to_string()),
            ],
        )?;
        for (further, address) in (0..gateways).zip(&addresses) {
            plan.add(
                Service::Gateway,
                &gateway_name(further),
                gateway_internal_port(further),
                [
                    ("MESTRES_HOST", address.ip().to_string()),
                    ("PORT", address.port().to_string()),
                    ("MESTRES_JWKS_FILE", folder.jwks().display().to_string()),
                    ("MESTRES_ASSERTION_KEY_FILE", plan.assertion_key(Service::Gateway)),
                    ("MESTRES_TOKEN_KEY", secrets.token_key.clone()),
                    ("MESTRES_LOAD_GENERATORS", LOAD_GENERATORS.to_owned()),
                    ("MESTRES_GATEWAY_REPLICAS", gateways.to_string()),
                ],
            )?;
        }

        let Draft { moved, programs, ports, urls, .. } = plan;
        let exports = [
            ("MESTRES_DATABASE_ADMIN_URL", data.admin_url.clone()),
            ("MESTRES_DATABASE_OWNER_URL", database::owner_url(&data.admin_url, secrets)?),
            ("REDIS_URL", data.redis_url.clone()),
            ("NATS_URL", data.nats_url.clone()),
            ("MESTRES_JWKS_FILE", folder.jwks().display().to_string()),
            ("MESTRES_ASSERTION_JWKS_FILE", folder.assertion_jwks().display().to_string()),
            ("MESTRES_SIGNING_KEY_FILE", folder.dev_key().display().to_string()),
            ("MESTRES_TOKEN_KEY", secrets.token_key.clone()),
            ("MESTRES_SHOP_URL", format!("http://{}", addresses[0])),
        ];
        let exports = exports.into_iter().chain(urls);
        let exports = exports.map(|(variable, value)| (variable.to_owned(), value)).collect();
        Ok(Self { programs, exports, gateways: addresses, _ports: ports, moved })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.programs.iter().map(|(program, _)| program.name.clone()).collect()
    }

    pub(crate) fn processes(&self) -> Vec<Process> {
        let process = |(program, _): &(Program, Stops)| Process {
            name: program.name.clone(),
            pid: None,
            internal_http: program.internal_http,
        };
        self.programs.iter().map(process).collect()
    }

    fn internal_http(&self, service: Service) -> Option<SocketAddr> {
        let found = self.programs.iter().find(|(program, _)| program.name == service.name());
        found.map(|(program, _)| program.internal_http)
    }

    /// Where things are, and what to try first; a cart, when some variant is `in_stock`.
    pub(crate) fn addresses(&self, in_stock: Option<i64>) -> Vec<Line> {
        let mut lines: Vec<Line> = self.moved.iter().map(|text| Line::Note { text: text.clone() }).collect();
        let unlimited = format!("rate limits spare {LOAD_GENERATORS}, so that ab and k6 can be tried here");
        lines.push(Line::Note { text: unlimited });
        let shop = format!("http://localhost:{}", self.gateways[0].port());
        let all_gateways = match self.gateways.as_slice() {
            [_] => String::new(),
            several => {
                let ports: Vec<String> = several.iter().map(|gateway| gateway.port().to_string()).collect();
                format!("{} gateways: {}", several.len(), ports.join(" "))
            }
        };
        let internal: Vec<String> = self
            .programs
            .iter()
            .map(|(program, _)| format!("{} {}", program.name, program.internal_http.port()))
            .collect();
        let first_internal = self.programs.iter().find(|(_, stops)| *stops == Stops::First);
        let metrics = first_internal.map_or(String::new(), |(gateway, _)| gateway.internal_http.to_string());
        let mut address = |what: &str, address: String, note: String| {
            lines.push(Line::Address { what: what.to_owned(), address, note });
        };
        address("Shop API", format!("{shop}/api/v1/products"), all_gateways);
        address("API contract", format!("{shop}/api/openapi.json"), "OpenAPI 3.1".to_owned());
        address("Metrics", format!("http://{metrics}/metrics"), internal.join(", "));
        if let Some(notifications) = self.internal_http(Service::Notifications) {
            address("Mailbox", format!("http://{notifications}/mailbox"), "mails that were sent".to_owned());
        }
        if let Some(sandbox) = self.internal_http(Service::PaymentsSandbox) {
            let note = "takes play money: pm_card_visa is approved".to_owned();
            address("Payments", format!("http://{sandbox}/__sandbox/ledger"), note);
        }
        for login in demo_logins() {
            let note = "a password that everybody knows".to_owned();
            address(&format!("Login {}", login.role), format!("{}   {}", login.email, login.password), note);
        }
        address("Logs", ".mestres/logs/".to_owned(), "one file per service".to_owned());

        let mut try_this = |command: String, note: &str| {
            lines.push(Line::Try { command, note: note.to_owned() });
        };
        try_this(
            format!("curl -i {}/api/v1/products", &shop["http://".len()..]),
            "twice: look at X-Cache-Hit",
        );
        if let Some(variant) = in_stock {
            let item = format!(r#"{{"variant_id":{variant},"quantity":2}}"#);
            try_this(
                format!("curl -i -H 'content-type: application/json' -d '{item}' {shop}/api/v1/cart/items"),
                "a first cart; its cart-token cookie is the way back to it",
            );
        }
        let cookie = format!(r#""Cookie: auth-token=$({} token --role admin --user 1)""#, ourselves());
        try_this(format!("curl -H {cookie} {shop}/api/admin/performance-metrics"), "admins only");
        lines
    }
}

/// A plan in the making.
struct Draft<'a> {
    folder: &'a Folder,
    data: &'a DataPlane,
    secrets: &'a Secrets,
    ports: Ports,
    moved: Vec<String>,
    programs: Vec<(Program, Stops)>,
    /// Where each service answers, by the variable that tells the others.
    urls: Vec<(&'static str, String)>,
}

impl Draft<'_> {
    fn grpc_port(
        &mut self,
        service: Service,
        usual: u16,
        variable: &'static str,
    ) -> anyhow::Result<SocketAddr> {
        let address = self.port(&format!("{service} (gRPC)"), usual)?;
        self.urls.push((variable, format!("http://{address}")));
        Ok(address)
    }

    fn database(&self, schema: Schema) -> anyhow::Result<String> {
        database::login_url(&self.data.admin_url, schema, self.secrets)
    }

    fn assertion_key(&self, service: Service) -> String {
        self.folder.assertion_key(service.name()).display().to_string()
    }

    fn port(&mut self, what: &str, usual: u16) -> anyhow::Result<SocketAddr> {
        let given = self.ports.next_free(usual)?;
        if given.port() != usual {
            self.moved.push(format!("port {usual} is taken, so {what} is on {}", given.port()));
        }
        Ok(given)
    }

    fn add<const N: usize>(
        &mut self,
        service: Service,
        name: &str,
        usual_internal_port: u16,
        settings: [(&'static str, String); N],
    ) -> anyhow::Result<()> {
        let internal_http = self.port(&format!("{name} (internal HTTP)"), usual_internal_port)?;
        self.add_at(service, name, internal_http, settings)
    }

    /// Adds a process that says at `internal_http` how it is.
    fn add_at<const N: usize>(
        &mut self,
        service: Service,
        name: &str,
        internal_http: SocketAddr,
        settings: [(&'static str, String); N],
    ) -> anyhow::Result<()> {
        let common = [
            ("MESTRES_ENV", "development".to_owned()),
            ("MESTRES_INSTANCE", name.to_owned()),
            ("MESTRES_INTERNAL_HTTP_ADDR", internal_http.to_string()),
            ("MESTRES_ASSERTION_JWKS_FILE", self.folder.assertion_jwks().display().to_string()),
            ("MESTRES_DRAIN_DELAY_S", "0".to_owned()),
            ("REDIS_URL", self.data.redis_url.clone()),
            ("NATS_URL", self.data.nats_url.clone()),
            (SUPERVISED, "1".to_owned()),
        ];
        // A service gets its own login and its own keys, and no other, whatever our own environment holds.
        let withheld = WITHHELD.map(|variable| (variable, None));
        let urls = self.urls.iter().cloned();
        let set = common.into_iter().chain(urls).chain(settings);
        let set = set.map(|(variable, value)| (variable, Some(value)));
        let program = Program {
            name: name.to_owned(),
            executable: std::env::current_exe().context("cannot tell where this program is")?,
            arguments: ["serve", service.name()].map(OsString::from).to_vec(),
            environment: withheld.into_iter().chain(set).collect(),
            log: LogFile::begin(&self.folder.logs(), name)?,
            internal_http,
        };
        let stops = if service == Service::Gateway { Stops::First } else { Stops::Last };
        self.programs.push((program, stops));
        Ok(())
    }
}

/// One login for each role.
fn demo_logins() -> Vec<&'static DemoLogin> {
    let mut logins: Vec<&DemoLogin> = DEMO_LOGINS.iter().collect();
    logins.dedup_by_key(|login| login.role);
    logins
}

/// This program as one would type it here.
fn ourselves() -> String {
    let typed = || -> Option<PathBuf> {
        let executable = std::env::current_exe().ok()?;
        let here = std::env::current_dir().ok()?;
        let Ok(below_here) = executable.strip_prefix(&here) else { return Some(executable) };
        let in_this_folder = below_here.components().count() == 1;
        Some(if in_this_folder { Path::new(".").join(below_here) } else { below_here.to_owned() })
    };
    typed().map_or_else(|| "mestres".to_owned(), |path| path.display().to_string())
}
