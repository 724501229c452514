//! Somebody at the gateways: asks, asks again under the same key, and remembers what was said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::history::{History, Operation, Outcome, Unanswered};
use crate::system::System;

/// A token is good for five minutes.
const TOKEN_LIFE: Duration = Duration::from_secs(120);
/// How often one that heard nothing asks again.
const ATTEMPTS_MAX: u32 = 8;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A customer by id.
    User(i64),
    /// Somebody without an account; the number is ours.
    Guest(usize),
    /// The shop's admin.
    Admin,
}

/// Somebody with a memory for tokens.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) who: Who,
    pub(crate) draw: fastrand::Rng,
    pub(crate) history: Arc<History>,
    system: Arc<System>,
    bearer: Option<(Instant, String)>,
    cart_token: Option<String>,
    cache_token: Option<String>,
    /// Keys used so far.
    keys: u64,
}

/// What came of a request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) outcome: Outcome,
    /// 0 without an answer.
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) json: Value,
    /// The tag of the version, without which staff may change nothing.
    pub(crate) etag: Option<String>,
    pub(crate) begun: f64,
    pub(crate) ended: f64,
}

impl Reply {
    pub(crate) fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// Whether asking again under the same key could tell anything else.
    pub(crate) fn is_an_answer(&self) -> bool {
        let is_busy = matches!(self.code(), "idempotency_in_flight" | "rate_limited");
        self.outcome != Outcome::Unknown && !is_busy
    }

    /// The problem's code; empty when it is none.
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }
}

/// A request before anybody is asked.
#[derive(Debug, Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) kind: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) body: Value,
    pub(crate) if_match: Option<&'a str>,
    pub(crate) key: Option<String>,
    /// An access token in place of the client's own.
    pub(crate) token: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(kind: &'static str, method: Method, path: &'a str) -> Self {
        Self { kind, method, path, body: Value::Null, if_match: None, key: None, token: None }
    }

    pub(crate) fn get(kind: &'static str, path: &'a str) -> Self {
        Self::new(kind, Method::GET, path)
    }

    pub(crate) fn post(kind: &'static str, path: &'a str, body: Value) -> Self {
        Self { body, ..Self::new(kind, Method::POST, path) }
    }
}

impl Client {
    pub(crate) fn new(who: Who, seed: u64, system: &Arc<System>, history: &Arc<History>) -> Self {
        Self {
            who,
            draw: fastrand::Rng::with_seed(seed),
            history: Arc::clone(history),
            system: Arc::clone(system),
            bearer: None,
            cart_token: None,
            cache_token: None,
            keys: 0,
        }
    }

    /// Somebody who was here before, with the cart of then.
    pub(crate) fn back(left: &Unanswered, system: &Arc<System>, history: &Arc<History>) -> Self {
        let cart_token = left.cart_token.clone();
        Self { cart_token, ..Self::new(left.who, 0, system, history) }
    }

    pub(crate) fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// How the checker calls it.
    pub(crate) fn name(&self) -> String {
        match self.who {
            Who::User(id) => format!("user:{id}"),
            Who::Guest(number) => format!("guest:{number}"),
            Who::Admin => "admin".to_owned(),
        }
    }

    /// A key that nobody has used.
    pub(crate) fn fresh_key(&mut self) -> String {
        self.keys += 1;
        format!("{}-{}-{:x}", self.name().replace(':', "-"), self.keys, self.draw.u32(..))
    }

    /// Leaves the cart behind: the next one is another guest's.
    pub(crate) fn forget_cart(&mut self) {
        self.cart_token = None;
    }

    /// Asks once.
    pub(crate) async fn ask(&mut self, ask: &Ask<'_>) -> Reply {
        let gateway = self.system.gateways[self.draw.usize(0..2)];
        let reply = self.send(gateway, ask).await;
        self.remember(ask, &reply);
        reply
    }

    /// Asks under a key, until there is an answer or patience ends.
    ///
    /// In three of ten cases what was answered is asked again: it must be answered by the same bytes.
    pub(crate) async fn ask_surely(&mut self, mut ask: Ask<'_>) -> Reply {
        let key = ask.key.clone().unwrap_or_else(|| self.fresh_key());
        ask.key = Some(key.clone());
        let mut reply = self.ask(&ask).await;
        for _ in 1..ATTEMPTS_MAX {
            if reply.is_an_answer() {
                break;
            }
            let pause = Duration::from_millis(self.draw.u64(100..1_000));
            tokio::time::sleep(pause).await;
            reply = self.ask(&ask).await;
        }
        // What is not settled yet, too, must be told whoever asks again later.
        if !reply.is_an_answer() || reply.status == 202 {
            let (who, cart_token) = (self.who, self.cart_token.clone());
            let (kind, method, path) = (ask.kind, ask.method.clone(), ask.path.to_owned());
            let unanswered = Unanswered { who, cart_token, kind, method, path, body: ask.body.clone(), key };
            self.history.lock().unanswered.push(unanswered);
        }
        if reply.is_ok() && self.draw.u8(0..10) < 3 {
            let again = self.ask(&ask).await;
            let is_final = |reply: &Reply| reply.is_ok() && reply.status != 202;
            if is_final(&reply) && is_final(&again) && reply.body != again.body {
                self.history.violation(format!(
                    "replay differs: {} {} under {:?}:\n  {}\n  {}",
                    ask.method,
                    ask.path,
                    ask.key,
                    String::from_utf8_lossy(&reply.body),
                    String::from_utf8_lossy(&again.body)
                ));
            }
            // What is settled meanwhile is better known.
            if again.is_ok() && reply.status == 202 {
                reply = again;
            }
        }
        reply
    }

    async fn send(&mut self, gateway: SocketAddr, ask: &Ask<'_>) -> Reply {
        let url = format!("http://{gateway}{}", ask.path);
        let mut request = self.system.http.request(ask.method.clone(), url);
        if let Some(bearer) = ask.token.map(str::to_owned).or_else(|| self.bearer()) {
            request = request.bearer_auth(bearer);
        }
        if let Some(token) = &self.cart_token {
            request = request.header("x-cart-token", token);
        }
        if let Some(token) = &self.cache_token {
            request = request.header("x-cache-token", token);
        }
        if let Some(key) = &ask.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(tag) = ask.if_match {
            request = request.header("if-match", tag);
        }
        if !ask.body.is_null() {
            request = request.json(&ask.body);
        }
        let begun = self.history.now();
        let answer = async {
            let answer = request.send().await?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?.to_vec()))
        };
        let mut hanging_up = self.system.hanging_up();
        let answer = tokio::select! {
            answer = answer => answer.ok(),
            // The connection closes with the request on it.
            _ = hanging_up.changed() => None,
        };
        let ended = self.history.now();
        let Some((status, headers, body)) = answer else {
            let (outcome, status, json) = (Outcome::Unknown, 0, Value::Null);
            return Reply { outcome, status, body: Vec::new(), json, etag: None, begun, ended };
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let (Who::Guest(_), Some(token)) = (self.who, header("x-cart-token")) {
            self.cart_token = Some(token);
        }
        if let Some(token) = header("x-cache-token") {
            self.cache_token = Some(token);
        }
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Reply { outcome: Outcome::of(status), status, body, json, etag: header("etag"), begun, ended }
    }

    fn remember(&self, ask: &Ask<'_>, reply: &Reply) {
        let data = &reply.json["data"];
        let order = [&data["checkout"]["order_id"], &data["payment"]["order_id"], &data["order"]["id"]]
            .into_iter()
            .find_map(Value::as_i64);
        self.history.lock().operations.push(Operation {
            kind: ask.kind,
            // Keys are a principal's and a route's.
            key: ask.key.as_ref().map(|key| format!("{} {} {key}", self.name(), ask.path)),
            begun: reply.begun,
            ended: reply.ended,
            outcome: reply.outcome,
            status: reply.status,
            code: reply.code().to_owned(),
            order,
            body_sha256: reply.is_ok().then(|| sha256(&reply.body)),
        });
    }

    fn bearer(&mut self) -> Option<String> {
        let (role, id) = match self.who {
            Who::User(id) => ("customer", id),
            Who::Admin => ("admin", 1),
            Who::Guest(_) => return None,
        };
        if self.bearer.as_ref().is_none_or(|(since, _)| since.elapsed() > TOKEN_LIFE) {
            self.bearer = Some((Instant::now(), self.system.keys.token(role, id)));
        }
        self.bearer.as_ref().map(|(_, token)| token.clone())
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
