//! A shop of a test's own: real backends, one process per service, everything on free loopback ports.

use std::{
    collections::HashMap,
    fs::File,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use testkit::FaultProxy;

use crate::client::Client;

/// The service processes of a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    Catalog,
    Metrics,
    Invalidator,
    Accounts,
    Agenda,
    Notifications,
    Orders,
    Sandbox,
    Gateway(usize),
}

impl Service {
    fn role(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Metrics => "metrics",
            Self::Invalidator => "cache-invalidator",
            Self::Accounts => "accounts",
            Self::Agenda => "agenda",
            Self::Notifications => "notifications",
            Self::Orders => "orders",
            Self::Sandbox => "payments-sandbox",
            Self::Gateway(_) => "gateway",
        }
    }
}

/// How a shop differs from the usual one.
pub(crate) struct Options {
    pub(crate) gateways: usize,
    /// Further gateways, after the others, that keep nothing: what they say is what the services say.
    pub(crate) uncached_gateways: usize,
    pub(crate) products: usize,
    /// Which services there are.
    pub(crate) cast: Cast,
    /// Further variables for every service; they win over the usual ones.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Delays every byte from the catalog to the gateways.
    pub(crate) catalog_answers_late_by: Option<Duration>,
}

/// The services of a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cast {
    /// What it takes to sell: accounts too, since they say who is staff.
    Sellers,
    /// All of them.
    Everybody,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gateways: 2,
            uncached_gateways: 0,
            products: catalog::seed::DEMO_PRODUCTS,
            cast: Cast::Sellers,
            environment: Vec::new(),
            catalog_answers_late_by: None,
        }
    }
}

const SANDBOX_SECRET: &str = "sk_test_shop";
/// What the provider signs its words with.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_shop";
/// Of each variant that is sold.
pub(crate) const ON_HAND: i32 = 1_000;

struct Process {
    environment: Vec<(&'static str, String)>,
    child: Option<Child>,
    internal: SocketAddr,
}

pub(crate) struct Shop {
    pub(crate) redis: testkit::Redis,
    pub(crate) nats: testkit::Nats,
    pub(crate) database: testkit::TestDatabase,
    pub(crate) accounts_database: testkit::TestDatabase,
    /// Of the agenda and of the notifications, in a shop with everybody.
    pub(crate) people_databases: Option<(testkit::TestDatabase, testkit::TestDatabase)>,
    /// Of the orders, in a shop with everybody.
    pub(crate) orders_database: Option<testkit::TestDatabase>,
    pub(crate) keys: testkit::jwt::TestKeys,
    /// Where the payment provider answers.
    pub(crate) sandbox: SocketAddr,
    processes: HashMap<Service, Process>,
    gateways: Vec<SocketAddr>,
    folder: tempfile::TempDir,
    _invalidator_database: testkit::TestDatabase,
    _catalog_proxy: Option<FaultProxy>,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(Options::default()).await
    }

    /// Starts everything and waits until every process is ready.
    pub(crate) async fn open_with(options: Options) -> Self {
        Box::pin(Self::start(options)).await
    }

    async fn start(options: Options) -> Self {
        let (redis, nats, database, invalidator_database, accounts_database) = tokio::join!(
            testkit::Redis::start(),
            testkit::Nats::start(),
            testkit::database("catalog", &catalog::MIGRATOR),
            testkit::database("invalidator", &cache_invalidator::MIGRATOR),
            testkit::database("accounts", &accounts::MIGRATOR),
        );
        let people_databases = match options.cast {
            Cast::Sellers => None,
            Cast::Everybody => Some(tokio::join!(
                testkit::database("agenda", &agenda::MIGRATOR),
                testkit::database("notifications", &notifications::MIGRATOR),
            )),
        };
        catalog::seed::load(&database.url, options.products, |_| {}).await.unwrap();
        // The one whose tokens the tests sign for every role: staff's sessions are looked up.
        crate::accounts::insert(&mut accounts_database.admin().await, 1, "admin").await;
        if options.cast == Cast::Everybody {
            // Whoever tests sign tokens for; only people who exist are told anything.
            crate::accounts::people(&mut accounts_database.admin().await, 2..=1_300).await;
        }
        let orders_database = match options.cast {
            Cast::Sellers => None,
            Cast::Everybody => Some(testkit::database("orders", &orders::MIGRATOR).await),
        };
        if let Some(orders) = &orders_database {
            stock_up(&database, orders).await;
        }
        let keys = testkit::jwt::key_set();
        let [catalog_grpc, metrics_grpc, invalidator_grpc, accounts_grpc, agenda_grpc, notifications_grpc] =
            free_addresses();
        let [orders_grpc, sandbox] = free_addresses();
        let relays = match options.cast {
            Cast::Sellers => "catalog,accounts",
            Cast::Everybody => "catalog,accounts,agenda,notifications,orders",
        };
        let mut catalog_proxy = None;
        if let Some(delay) = options.catalog_answers_late_by {
            let proxy = FaultProxy::start(catalog_grpc).await;
            proxy.delay_to_client(delay);
            catalog_proxy = Some(proxy);
        }
        let common = [
            ("REDIS_URL", redis.url()),
            ("NATS_URL", nats.url()),
            ("MESTRES_JWKS_FILE", keys.jwks_file.display().to_string()),
            ("MESTRES_ASSERTION_JWKS_FILE", keys.assertions_file.display().to_string()),
            ("MESTRES_TOKEN_KEY", "5e".repeat(32)),
            ("MESTRES_SECRET_KEY", "c0".repeat(32)),
            ("MESTRES_RELAYS", relays.to_owned()),
            // What is measured here is not how patient clients are.
            ("MESTRES_LOAD_GENERATORS", "127.0.0.0/8".to_owned()),
            ("MESTRES_ACCOUNTS_URL", format!("http://{accounts_grpc}")),
            ("MESTRES_AGENDA_URL", format!("http://{agenda_grpc}")),
            ("MESTRES_NOTIFICATIONS_URL", format!("http://{notifications_grpc}")),
            ("MESTRES_ORDERS_URL", format!("http://{orders_grpc}")),
            (
                "MESTRES_CATALOG_URL",
                format!("http://{}", catalog_proxy.as_ref().map_or(catalog_grpc, FaultProxy::addr)),
            ),
            ("MESTRES_METRICS_URL", format!("http://{metrics_grpc}")),
            ("MESTRES_LOG", "info".to_owned()),
        ];
        let mut services = vec![
            (
                Service::Catalog,
                vec![
                    ("MESTRES_GRPC_ADDR", catalog_grpc.to_string()),
                    ("MESTRES_DATABASE_URL", database.url.clone()),
                ],
            ),
            (Service::Metrics, vec![("MESTRES_GRPC_ADDR", metrics_grpc.to_string())]),
            (
                Service::Invalidator,
                vec![
                    ("MESTRES_GRPC_ADDR", invalidator_grpc.to_string()),
                    ("MESTRES_DATABASE_URL", invalidator_database.url.clone()),
                ],
            ),
            (
                Service::Accounts,
                vec![
                    ("MESTRES_GRPC_ADDR", accounts_grpc.to_string()),
                    ("MESTRES_DATABASE_URL", accounts_database.url.clone()),
                    ("MESTRES_SIGNING_KEY_FILE", keys.signing_key_file.display().to_string()),
                    ("MESTRES_ASSERTION_KEY_FILE", assertion_key(&keys, "accounts")),
                ],
            ),
        ];
        if let Some((agenda, notifications)) = &people_databases {
            services.push((
                Service::Agenda,
                vec![
                    ("MESTRES_GRPC_ADDR", agenda_grpc.to_string()),
                    ("MESTRES_DATABASE_URL", agenda.url.clone()),
                ],
            ));
            services.push((
                Service::Notifications,
                vec![
                    ("MESTRES_GRPC_ADDR", notifications_grpc.to_string()),
                    ("MESTRES_DATABASE_URL", notifications.url.clone()),
                    ("MESTRES_ASSERTION_KEY_FILE", assertion_key(&keys, "notifications")),
                    ("MESTRES_WEBHOOK_ALLOW_LOOPBACK", "1".to_owned()),
                ],
            ));
        }
        if let Some(orders) = &orders_database {
            services.push((
                Service::Orders,
                vec![
                    ("MESTRES_GRPC_ADDR", orders_grpc.to_string()),
                    ("MESTRES_DATABASE_URL", orders.url.clone()),
                    ("MESTRES_DATABASE_POOL_SIZE", "16".to_owned()),
                    ("MESTRES_ASSERTION_KEY_FILE", assertion_key(&keys, "orders")),
                    ("MESTRES_PAYMENTS_PROVIDER", "sandbox".to_owned()),
                    ("MESTRES_PAYMENTS_URL", format!("http://{sandbox}")),
                    ("MESTRES_PAYMENTS_SECRET", SANDBOX_SECRET.to_owned()),
                    ("MESTRES_PAYMENTS_WEBHOOK_SECRETS", WEBHOOK_SECRET.to_owned()),
                ],
            ));
        }
        let mut gateways = Vec::new();
        for index in 0..options.gateways + options.uncached_gateways {
            let [address] = free_addresses();
            gateways.push(address);
            services.push((
                Service::Gateway(index),
                vec![
                    ("MESTRES_HOST", address.ip().to_string()),
                    ("PORT", address.port().to_string()),
                    ("MESTRES_INSTANCE", format!("gateway-{index}")),
                    ("MESTRES_ASSERTION_KEY_FILE", assertion_key(&keys, "gateway")),
                    ("REDIS_CACHE_ENABLED", if index < options.gateways { "1" } else { "0" }.to_owned()),
                ],
            ));
        }
        if orders_database.is_some() {
            let webhooks = format!("http://{}/api/v1/payments/webhooks/sandbox", gateways[0]);
            services.push((
                Service::Sandbox,
                vec![
                    ("MESTRES_SANDBOX_ADDR", sandbox.to_string()),
                    ("MESTRES_SANDBOX_WEBHOOK_URL", webhooks),
                    ("MESTRES_SANDBOX_SECRET", SANDBOX_SECRET.to_owned()),
                    ("MESTRES_SANDBOX_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
                ],
            ));
        }
        let mut shop = Self {
            redis,
            nats,
            database,
            accounts_database,
            people_databases,
            orders_database,
            keys,
            sandbox,
            processes: HashMap::new(),
            gateways,
            folder: tempfile::tempdir().unwrap(),
            _invalidator_database: invalidator_database,
            _catalog_proxy: catalog_proxy,
        };
        for (service, own) in services {
            // The provider is nobody's inner part: it has one address for everything.
            let internal = if service == Service::Sandbox { sandbox } else { free_addresses::<1>()[0] };
            let environment = common
                .iter()
                .cloned()
                .chain([("MESTRES_INTERNAL_HTTP_ADDR", internal.to_string())])
                .chain(own)
                .chain(options.environment.iter().cloned())
                .collect();
            shop.processes.insert(service, Process { environment, child: None, internal });
            shop.spawn(service);
        }
        for service in shop.services() {
            shop.wait_until_ready(service).await;
        }
        shop
    }

    pub(crate) fn services(&self) -> Vec<Service> {
        self.processes.keys().copied().collect()
    }

    /// A client of the gateway at `index`, anonymous and without a token.
    pub(crate) fn client(&self, index: usize) -> Client {
        Client::new(self.gateways[index])
    }

    pub(crate) fn gateway_address(&self, index: usize) -> SocketAddr {
        self.gateways[index]
    }

    /// Where a service answers calls.
    pub(crate) fn grpc_url(&self, service: Service) -> String {
        let environment = &self.processes[&service].environment;
        let address = environment.iter().find(|(name, _)| *name == "MESTRES_GRPC_ADDR");
        format!("http://{}", address.unwrap().1)
    }

    /// The process of a service.
    pub(crate) fn pid(&self, service: Service) -> u32 {
        self.processes[&service].child.as_ref().unwrap().id()
    }

    pub(crate) fn internal_address(&self, service: Service) -> SocketAddr {
        self.processes[&service].internal
    }

    /// A shop with every service.
    pub(crate) async fn open_with_everybody() -> Self {
        Self::open_with(Options { cast: Cast::Everybody, ..Options::default() }).await
    }

    /// An access token of that user, as a customer.
    pub(crate) fn customer(&self, user: i64) -> String {
        self.keys.token("customer", user)
    }

    /// An access token for a user with `role`: customer, staff or admin.
    pub(crate) fn token(&self, role: &str) -> String {
        self.keys.token(role, 1)
    }

    fn log_path(&self, service: Service) -> PathBuf {
        self.folder.path().join(format!("{service:?}.log"))
    }

    /// Everything the process has logged so far, over all its lives.
    pub(crate) fn log(&self, service: Service) -> String {
        std::fs::read_to_string(self.log_path(service)).unwrap_or_default()
    }

    /// Starts the process again, at the same addresses.
    pub(crate) fn spawn(&mut self, service: Service) {
        let log = File::options().create(true).append(true).open(self.log_path(service)).unwrap();
        let process = self.processes.get_mut(&service).unwrap();
        assert!(process.child.is_none(), "{service:?} runs already");
        let child = Command::new(env!("CARGO_BIN_EXE_mestres"))
            .args(["serve", service.role()])
            .env_clear()
            .envs(process.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        process.child = Some(child);
    }

    pub(crate) async fn wait_until_ready(&mut self, service: Service) {
        let url = format!("http://{}/health/ready", self.processes[&service].internal);
        let http = reqwest::Client::builder().tls_built_in_root_certs(false).build().unwrap();
        let mut report = String::new();
        // Twenty shops may start at the same time.
        for _ in 0..1200 {
            let answer = http.get(&url).timeout(Duration::from_secs(1)).send().await;
            // A service that takes traffic may still say that it is degraded: others are starting.
            if let Ok(answer) = answer {
                report = answer.text().await.unwrap_or_default();
                if report.contains(r#""status":"ready""#) || service == Service::Sandbox {
                    return;
                }
            }
            let child = self.processes.get_mut(&service).unwrap().child.as_mut().unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{service:?} ended with {status}:\n{}", self.log(service));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{service:?} is not ready after 60 s: {report}\n{}", self.log(service));
    }

    /// SIGKILL: no goodbye.
    pub(crate) fn kill(&mut self, service: Service) {
        let mut child = self.processes.get_mut(&service).unwrap().child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self, service: Service) {
        let child = self.processes[&service].child.as_ref().unwrap();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    }

    /// Waits for a terminated process and answers whether it left with success.
    pub(crate) async fn wait_until_gone(&mut self, service: Service) -> bool {
        let process = self.processes.get_mut(&service).unwrap();
        let mut child = process.child.take().unwrap();
        let status = testkit::eventually(Duration::from_secs(30), "the process is gone", async || {
            child.try_wait().unwrap()
        })
        .await;
        status.success()
    }
}

#[expect(clippy::print_stderr, reason = "the logs of a failed test")]
impl Drop for Shop {
    fn drop(&mut self) {
        for (service, process) in &mut self.processes {
            if let Some(mut child) = process.child.take() {
                let failed = child.kill().and_then(|()| child.wait()).is_err();
                assert!(!failed || std::thread::panicking(), "{service:?} could not be stopped");
            }
        }
        if std::thread::panicking() {
            for service in self.processes.keys() {
                let log = self.log(*service);
                let tail: Vec<_> = log.lines().rev().take(15).collect();
                eprintln!("--- {service:?}, newest line first\n{}", tail.join("\n"));
            }
        }
    }
}

/// Stock of every variant of the catalog.
async fn stock_up(catalog: &testkit::TestDatabase, orders: &testkit::TestDatabase) {
    let variants: Vec<(i64, i64)> = sqlx::query_as("SELECT id, product_id FROM catalog.variants")
        .fetch_all(&mut catalog.admin().await)
        .await
        .unwrap();
    let (ids, products): (Vec<i64>, Vec<i64>) = variants.into_iter().unzip();
    sqlx::query(
        "INSERT INTO orders.stock_levels (variant_id, product_id, on_hand) SELECT v, p, $3 FROM unnest($1, $2) AS u (v, p)",
    )
    .bind(ids)
    .bind(products)
    .bind(ON_HAND)
    .execute(&mut orders.admin().await)
    .await
    .unwrap();
}

/// The file with the key that `issuer` signs its assertions with.
fn assertion_key(keys: &testkit::jwt::TestKeys, issuer: &str) -> String {
    keys.assertion_key_file(issuer).display().to_string()
}

/// Loopback addresses that nobody listens on, each handed out once. They lie below the ports that the system gives to
/// outgoing connections: one of those could take an address before its service does.
pub(crate) fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    std::array::from_fn(|_| {
        loop {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let port = 10_000 + (std::process::id() % 100 * 200 + step) % 20_000;
            let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
            if TcpListener::bind(address).is_ok() {
                return address;
            }
        }
    })
}
