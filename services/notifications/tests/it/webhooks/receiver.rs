//! A receiver of webhooks that answers what the test says, and checks signatures by itself.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use testkit::eventually;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::app::SOON;

/// What a receiver answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Status(u16),
    Header(u16, &'static str, String),
    Body(u16, String),
    /// 200, as soon as the token is cancelled.
    Held(CancellationToken),
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A server on this machine; ends with this value.
pub(crate) struct Receiver {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    received: Mutex<Vec<Received>>,
    next: Mutex<VecDeque<Answer>>,
    usual: Mutex<Answer>,
}

impl Receiver {
    /// One that is content with everything.
    pub(crate) async fn start() -> Self {
        Self::answering(Answer::Status(204)).await
    }

    pub(crate) async fn answering(usual: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { received: Mutex::default(), next: Mutex::default(), usual: Mutex::new(usual) });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, shared, _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks?shop=1", self.addr)
    }

    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    /// What it answers from now on.
    pub(crate) fn answers(&self, usual: Answer) {
        *self.shared.usual.lock().unwrap() = usual;
    }

    /// What it answers next, before anything else.
    pub(crate) fn answers_next(&self, answer: Answer) {
        self.shared.next.lock().unwrap().push_back(answer);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// What came, once so many requests did.
    pub(crate) async fn requests(&self, count: usize) -> Vec<Received> {
        let what = format!("{count} requests");
        eventually(SOON, &what, async || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    shared.received.lock().unwrap().push(Received { headers, body: body.to_vec() });
    let next = shared.next.lock().unwrap().pop_front();
    let answer = next.unwrap_or_else(|| shared.usual.lock().unwrap().clone());
    let response = |status: u16| Response::builder().status(StatusCode::from_u16(status).unwrap());
    match answer {
        Answer::Status(status) => response(status).body(Body::empty()),
        Answer::Header(status, name, value) => response(status).header(name, value).body(Body::empty()),
        Answer::Body(status, body) => response(status).body(body.into()),
        Answer::Held(until) => {
            until.cancelled().await;
            response(200).body(Body::empty())
        }
    }
    .unwrap()
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn product_id(&self) -> i64 {
        self.json()["data"]["product_id"].as_i64().unwrap()
    }

    /// How many of the signatures are this secret's.
    pub(crate) fn signed_with(&self, secret: &str) -> usize {
        let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(key.len(), 24);
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let content = [format!("{id}.{timestamp}.").as_bytes(), &self.body].concat();
        let expected = format!("v1,{}", BASE64_STANDARD.encode(hmac_sha256(&key, &content)));
        self.header("webhook-signature").split(' ').filter(|signature| *signature == expected).count()
    }
}

/// RFC 2104, written down once more.
fn hmac_sha256(key: &[u8], content: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(content).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}
