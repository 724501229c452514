//! A sandbox of one's own, a client of it, and a shop that listens to its events.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use bootstrap::Shutdown;
use hmac::{Hmac, Mac as _};
use payments_sandbox::{App, Config};
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::eventually;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const SECRET: &str = "sk_test_sandbox";
pub(crate) const WEBHOOK_SECRET: &str = "whsec_test";

/// A sandbox that ends with this value.
pub(crate) struct TestSandbox {
    addr: SocketAddr,
    client: reqwest::Client,
    _running: AbortOnDropHandle<anyhow::Result<()>>,
}

/// An answer of the API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) replayed: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The id of what was answered.
    pub(crate) fn id(&self) -> String {
        self.text_at("/id")
    }

    pub(crate) fn text_at(&self, pointer: &str) -> String {
        let json = self.json();
        let found = json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} of {json}")).to_owned()
    }
}

impl TestSandbox {
    pub(crate) async fn start() -> Self {
        Self::with(Config::in_process(SECRET, WEBHOOK_SECRET)).await
    }

    /// One that tells `shop` what happens.
    pub(crate) async fn telling(shop: &Shop) -> Self {
        let config = Config { webhook_url: Some(shop.url()), ..Config::in_process(SECRET, WEBHOOK_SECRET) };
        Self::with(config).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let app = App::build(config).await.unwrap();
        let addr = app.addr();
        let running = AbortOnDropHandle::new(tokio::spawn(app.run(Shutdown::manual())));
        // No pool: a reset connection would otherwise be another request's.
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { addr, client, _running: running }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// A call that has to be answered.
    pub(crate) async fn post(&self, path: &str, key: Option<&str>, form: &[(&str, &str)]) -> Answer {
        self.try_post(path, key, form).await.unwrap()
    }

    pub(crate) async fn try_post(
        &self,
        path: &str,
        key: Option<&str>,
        form: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let mut request = self.client.post(self.url(path)).bearer_auth(SECRET).form(form);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        answer(request.send().await?).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.client.get(self.url(path)).bearer_auth(SECRET);
        answer(request.send().await.unwrap()).await.unwrap()
    }

    /// A card payment, authorised only, of an order.
    pub(crate) async fn authorize(&self, order: &str, token: &str) -> Answer {
        self.post("/v1/payment_intents", Some(&format!("mc:{order}:1:create")), &card(order, token)).await
    }

    pub(crate) async fn capture(&self, order: &str, intent: &str) -> Answer {
        let path = format!("/v1/payment_intents/{intent}/capture");
        self.post(&path, Some(&format!("mc:{order}:1:capture")), &[]).await
    }

    /// A card payment, captured; the intent's id.
    pub(crate) async fn paid(&self, order: &str) -> String {
        let id = self.authorize(order, "pm_card_visa").await.id();
        assert_eq!(self.capture(order, &id).await.text_at("/status"), "succeeded");
        id
    }

    pub(crate) async fn configure(&self, knobs: Value) {
        let put = self.client.put(self.url("/__sandbox/config")).json(&knobs).send().await.unwrap();
        assert_eq!(put.status(), 200, "{}", put.text().await.unwrap());
    }

    pub(crate) async fn ledger(&self, order: &str) -> Value {
        self.get(&format!("/__sandbox/ledger?order_id={order}")).await.json()
    }

    /// The types of what happened to an order.
    pub(crate) async fn happened(&self, order: &str) -> Vec<String> {
        let events = self.get(&format!("/__sandbox/events?order_id={order}")).await.json();
        let kinds = events["data"].as_array().unwrap().iter();
        kinds.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

async fn answer(response: reqwest::Response) -> reqwest::Result<Answer> {
    let status = response.status().as_u16();
    let replayed = response.headers().get("idempotent-replayed").is_some_and(|value| value == "true");
    Ok(Answer { status, replayed, text: response.text().await? })
}

/// What a shop sends for a card.
pub(crate) fn card<'a>(order: &'a str, token: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("amount", "12905"),
        ("currency", "brl"),
        ("payment_method", token),
        ("payment_method_types[]", "card"),
        ("capture_method", "manual"),
        ("confirm", "true"),
        ("return_url", "https://shop.example/back?from=bank"),
        ("metadata[order_id]", order),
        ("metadata[attempt]", "1"),
    ]
}

/// A receiver of events.
pub(crate) struct Shop {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Told>>,
    refusing: Mutex<u32>,
}

/// One event as it came.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) body: Vec<u8>,
    pub(crate) signature: String,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// Whether the signature is right, checked by what the provider documents.
    pub(crate) fn is_genuine(&self) -> bool {
        let parts: Vec<(&str, &str)> =
            self.signature.split(',').map(|part| part.split_once('=').unwrap()).collect();
        let value = |name| parts.iter().find(|(each, _)| *each == name).unwrap().1;
        let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
        mac.update(value("t").as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        value("v1") == expected
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, shared, _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/v1/payments/webhooks/sandbox", self.addr)
    }

    /// Answers 500 so many times.
    pub(crate) fn refuse_next(&self, times: u32) {
        *self.shared.refusing.lock().unwrap() = times;
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.shared.received.lock().unwrap().clone()
    }

    /// What came, once so much of that type did.
    pub(crate) async fn hears(&self, kind: &str, times: usize) -> Vec<Told> {
        let what = format!("{times} times {kind}");
        eventually(SOON, &what, async || {
            let told: Vec<Told> = self.told().into_iter().filter(|told| told.kind() == kind).collect();
            (told.len() >= times).then_some(told)
        })
        .await
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    shared.received.lock().unwrap().push(Told { body: body.to_vec(), signature });
    let mut refusing = shared.refusing.lock().unwrap();
    if *refusing > 0 {
        *refusing -= 1;
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    StatusCode::OK
}

/// The configuration of faults.
pub(crate) fn faults(faults: Value, lost_answer: &str) -> Value {
    json!({ "seed": 1, "faults": faults, "lost_answer": lost_answer })
}
