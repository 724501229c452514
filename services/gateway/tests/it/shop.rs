//! A gateway in front of a catalog that does what the test says, with a real NATS and a purge log that is
//! kept alive as the invalidator would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use bootstrap::Shutdown;
use bootstrap::config::Environment;
use gateway::cors::Origins;
use gateway::listener::Patience;
use gateway::{App, Config};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tag_cache::Enabled;
use tag_cache::log::{self, Heartbeat};
use testkit::jwt::TestKeys;
use testkit::{Nats, eventually};
use tokio_util::task::AbortOnDropHandle;

use crate::accounts::ScriptedAccounts;
use crate::people::People;
use crate::scripted_agenda::ScriptedAgenda;
use crate::scripted_catalog::ScriptedCatalog;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Everything, and a client.
pub(crate) struct Shop {
    pub(crate) gateway: Gateway,
    pub(crate) catalog: Arc<ScriptedCatalog>,
    pub(crate) accounts: Arc<ScriptedAccounts>,
    pub(crate) agenda: Arc<ScriptedAgenda>,
    nats: Nats,
    _beating: AbortOnDropHandle<()>,
    _serving: [AbortOnDropHandle<()>; 3],
}

impl Shop {
    /// A gateway whose cache is live, and a catalog of forty products.
    pub(crate) async fn open() -> Self {
        Self::open_with(|config| config).await
    }

    /// The same, and pages of this origin may read it.
    pub(crate) async fn open_for(origin: &str) -> Self {
        let allowed_origins: Origins = origin.parse().expect("an origin");
        Self::open_with(|config| Config { allowed_origins, ..config }).await
    }

    /// The same, and accounts was never there.
    pub(crate) async fn open_without_accounts() -> Self {
        Self::open_with(|config| Config { accounts_url: "http://127.0.0.1:1".to_owned(), ..config }).await
    }

    /// With other settings.
    pub(crate) async fn open_with(change: impl FnOnce(Config) -> Config) -> Self {
        Self::open_with_people(change, |_nobody| ()).await
    }

    /// With other settings, and people whom accounts knows before the gateway starts.
    pub(crate) async fn open_with_people(
        change: impl FnOnce(Config) -> Config,
        people: impl FnOnce(&People),
    ) -> Self {
        let nats = Nats::start().await;
        let beating = keep_purge_log(&nats.url()).await;
        let (catalog, catalog_addr, serving) = ScriptedCatalog::start(40).await;
        let (accounts, accounts_addr, serving_accounts) = ScriptedAccounts::start().await;
        let (agenda, agenda_addr, serving_agenda) = ScriptedAgenda::start().await;
        people(&accounts.people);
        let settings = |keys: &TestKeys| {
            change(Config {
                catalog_url: format!("http://{catalog_addr}"),
                accounts_url: format!("http://{accounts_addr}"),
                agenda_url: format!("http://{agenda_addr}"),
                nats_url: nats.url(),
                ..config(keys)
            })
        };
        let gateway = Gateway::start(testkit::jwt::key_set(), settings, Patience::default()).await;
        let shop = Self {
            gateway,
            catalog,
            accounts,
            agenda,
            nats,
            _beating: beating,
            _serving: [serving, serving_accounts, serving_agenda],
        };
        // Until it has seen the log alive, the gateway serves nothing from memory.
        eventually(PATIENCE, "the cache is live", async || {
            let answer = shop.get("/api/v1/categories").await;
            (header(&answer, "x-cache") == "L1").then_some(())
        })
        .await;
        shop.catalog.forget_calls();
        shop
    }

    pub(crate) async fn get(&self, target: &str) -> Response {
        self.gateway.request(Method::GET, target).send().await.expect("the gateway answers")
    }

    /// A client of its NATS.
    pub(crate) async fn nats_client(&self) -> async_nats::Client {
        async_nats::connect(self.nats.url()).await.expect("NATS is up")
    }

    /// A request of a caller with this role.
    pub(crate) fn request_as(&self, role: &str, method: Method, target: &str) -> RequestBuilder {
        self.gateway.request(method, target).header("authorization", self.gateway.keys.bearer(role, 7))
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) addr: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) running: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
    pub(crate) keys: TestKeys,
    client: Client,
}

impl Gateway {
    pub(crate) async fn start(
        keys: TestKeys,
        settings: impl FnOnce(&TestKeys) -> Config,
        patience: Patience,
    ) -> Self {
        let app = App::build(settings(&keys)).await.expect("the gateway starts").with_patience(patience);
        let (addr, shutdown) = (app.http_addr(), Shutdown::manual());
        let running = tokio::spawn(app.run(shutdown.clone()));
        let client = Client::builder().build().expect("a plain client");
        Self { addr, shutdown, running: Some(running), keys, client }
    }

    pub(crate) fn request(&self, method: Method, target: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{target}", self.addr)).timeout(PATIENCE)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shutdown.drain.cancel();
        self.shutdown.hard.cancel();
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

/// Settings of a gateway whose backends are all away.
pub(crate) fn config(keys: &TestKeys) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        environment: Environment::Development,
        http_addr: any,
        internal_addr: any,
        workers: 1,
        in_flight_max: 64,
        catalog_url: "http://127.0.0.1:1".to_owned(),
        metrics_url: "http://127.0.0.1:1".to_owned(),
        orders_url: "http://127.0.0.1:1".to_owned(),
        accounts_url: "http://127.0.0.1:1".to_owned(),
        agenda_url: "http://127.0.0.1:1".to_owned(),
        notifications_url: "http://127.0.0.1:1".to_owned(),
        redis_url: None,
        nats_url: "nats://127.0.0.1:1".to_owned(),
        cache: Enabled::Yes,
        cache_bytes_max: 16 << 20,
        warm_users: 0,
        token_key: [7; 32],
        jwks_file: keys.jwks_file.clone(),
        jwt_issuer: testkit::jwt::ISSUER.to_owned(),
        jwt_audience: testkit::jwt::AUDIENCE.to_owned(),
        assertion_key_file: keys.assertion_key_file("gateway"),
        allowed_origins: Origins::default(),
        instance: "test".to_owned(),
        trusted_proxies: gateway::client_address::Networks::default(),
        // The tests of everything else are in nobody's way.
        load_generators: "127.0.0.0/8".parse().expect("a network"),
        gateway_replicas: 1,
    }
}

/// A problem document with this status and code.
pub(crate) async fn check_problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status(), status, "{code} expected");
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    assert_eq!(header(&response, "cache-control"), "private, no-store");
    let request_id = header(&response, "x-request-id").to_owned();
    let problem: Value = response.json().await.expect("the body is JSON");
    assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{problem}");
    assert_eq!(problem["request_id"], json!(request_id));
    problem
}

pub(crate) fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

/// Declares the log and sends its heartbeat as the invalidator would.
async fn keep_purge_log(url: &str) -> AbortOnDropHandle<()> {
    let nats = async_nats::connect(url).await.expect("NATS is up");
    let stream = jetstream::new(nats.clone());
    log::declare(&stream, 1).await.expect("the stream is declared");
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            let Ok(mut purges) = stream.get_stream(log::STREAM).await else { continue };
            let Ok(info) = purges.info().await else { continue };
            let beat = Heartbeat {
                epoch: 1,
                last_seq: info.state.last_sequence,
                oldest_pending_ms: 0,
                published_xmin: 0,
            };
            beat.send(&nats).await.expect("the client is open");
        }
    }))
}
