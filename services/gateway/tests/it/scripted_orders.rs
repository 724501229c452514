//! An orders service in memory: everybody has a cart and orders of their own, keys are kept like the real ones, and a
//! test may have the next call refused.

mod carts;
mod checkouts;
mod desk;
mod orders;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use prost::Message as _;
use proto::orders::v1 as pb;
use proto::orders::v1::cart_service_server::CartServiceServer;
use proto::orders::v1::checkout_service_server::CheckoutServiceServer;
use proto::orders::v1::order_admin_service_server::OrderAdminServiceServer;
use proto::orders::v1::order_service_server::OrderServiceServer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request as Grpc, Response as Reply, Status};

pub(crate) use state::at;
use state::{Kept, State};

/// The one payment that exists.
pub(crate) const PAYMENT: &str = "0190a5a0-0000-7000-8000-0000000000aa";
/// What opens order 9, a guest's.
pub(crate) const ORDER_TOKEN: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk";

/// See the module.
#[derive(Default)]
pub(crate) struct ScriptedOrders {
    state: Mutex<State>,
}

/// One call as it came.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) rpc: &'static str,
    /// `user:7`, `guest:<hash>`, `service` or `nobody`.
    pub(crate) who: String,
    pub(crate) key: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) sha256: Option<Vec<u8>>,
    pub(crate) message: String,
}

pub(crate) fn sha256_hex(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who is asserted; the services verify the signature, this one believes.
fn claims(metadata: &MetadataMap) -> Option<Value> {
    let bearer = metadata.get("authorization")?.to_str().ok()?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(bearer.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}

fn who(claims: Option<&Value>) -> String {
    let Some(claims) = claims else { return "nobody".to_owned() };
    assert_eq!(claims["aud"], "orders", "an assertion for another service");
    let sub = claims["sub"].as_str().expect("a subject");
    match claims["role"].as_str() {
        Some("guest") => format!("guest:{sub}"),
        Some("service") => "service".to_owned(),
        _ => format!("user:{sub}"),
    }
}

impl ScriptedOrders {
    /// Serves on a port of its own.
    pub(crate) async fn start() -> (Arc<Self>, SocketAddr, AbortOnDropHandle<()>) {
        let payment = pb::Payment {
            id: PAYMENT.to_owned(),
            order_id: 5,
            method: "card".to_owned(),
            status: "succeeded".to_owned(),
            amount: 4290,
            captured_amount: 4290,
            currency: "BRL".to_owned(),
            created_at: at(1_760_000_000),
            ..pb::Payment::default()
        };
        let state = Mutex::new(State { payment, price: 4290, ..State::default() });
        let orders = Arc::new(Self { state });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let service = Arc::clone(&orders);
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(CartServiceServer::from_arc(Arc::clone(&service)))
                .add_service(CheckoutServiceServer::from_arc(Arc::clone(&service)))
                .add_service(OrderServiceServer::from_arc(Arc::clone(&service)))
                .add_service(OrderAdminServiceServer::from_arc(service))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the orders serve");
        });
        (orders, addr, AbortOnDropHandle::new(serving))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// What was asked since the last time.
    pub(crate) fn calls(&self) -> Vec<Called> {
        std::mem::take(&mut self.state().calls)
    }

    /// The next call is refused with this reason.
    pub(crate) fn refuse(&self, code: Code, reason: &'static str) {
        self.refuse_with(refusal(code, reason));
    }

    /// The next call is refused with this status.
    pub(crate) fn refuse_with(&self, status: Status) {
        self.state().refusal = Some(status);
    }

    /// Carts say so from now on.
    pub(crate) fn warn(&self, warning: &str) {
        self.state().warnings = vec![warning.to_owned()];
    }

    /// Everything costs this from now on.
    pub(crate) fn set_price(&self, price: i64) {
        self.state().price = price;
    }

    /// What becomes of payments from now on.
    pub(crate) fn pay_as(&self, change: impl FnOnce(&mut pb::Payment)) {
        change(&mut self.state().payment);
    }

    /// Takes a call in, and does it once under its key.
    fn once<M: std::fmt::Debug, R: prost::Message + Default>(
        &self,
        rpc: &'static str,
        request: Grpc<M>,
        work: impl FnOnce(&mut State, &str, M) -> Result<R, Status>,
    ) -> Result<Reply<R>, Status> {
        let (metadata, _, message) = request.into_parts();
        let text = |name| {
            metadata.get(name).and_then(|value: &MetadataValue<_>| value.to_str().ok()).map(str::to_owned)
        };
        let claims = claims(&metadata);
        let who = who(claims.as_ref());
        let called = Called {
            rpc,
            who: who.clone(),
            key: text("mc-idempotency-key"),
            route: text("mc-idempotency-route"),
            sha256: metadata
                .get_bin("mc-idempotency-sha256-bin")
                .and_then(|value| value.to_bytes().ok())
                .map(|bytes| bytes.to_vec()),
            message: format!("{message:?}"),
        };
        let mut state = self.state();
        state.calls.push(called.clone());
        let (Some(key), Some(route), Some(sha256)) = (called.key, called.route, called.sha256) else {
            let refused = state.refusal.take().map_or(Ok(()), Err);
            return refused.and_then(|()| work(&mut state, &who, message)).map(Reply::new);
        };
        let name = (who.clone(), route, key);
        if let Some(kept) = state.kept.get(&name) {
            if kept.sha256 != sha256 {
                return Err(refusal(Code::FailedPrecondition, "idempotency_key_reused"));
            }
            let note = |metadata: &mut MetadataMap| {
                metadata.insert("mc-idempotent-replayed", MetadataValue::from_static("true"));
                let request_id = kept.request_id.parse().expect("ASCII");
                metadata.insert("mc-idempotent-request-id", request_id);
            };
            return match &kept.answer {
                Ok(bytes) => {
                    let mut reply = Reply::new(R::decode(bytes.as_slice()).expect("encoded below"));
                    note(reply.metadata_mut());
                    Ok(reply)
                }
                Err(status) => {
                    let mut status = status.clone();
                    note(status.metadata_mut());
                    Err(status)
                }
            };
        }
        let answer = match state.refusal.take() {
            Some(refusal) => Err(refusal),
            None => work(&mut state, &who, message),
        };
        let request_id =
            claims.and_then(|claims| claims["rid"].as_str().map(str::to_owned)).unwrap_or_default();
        let keep = !matches!(&answer, Err(status) if status.code() == Code::Unavailable);
        if keep {
            let answer = answer.as_ref().map(R::encode_to_vec).map_err(Status::clone);
            state.kept.insert(name, Kept { sha256, request_id, answer });
        }
        answer.map(Reply::new)
    }
}

/// A refusal as the services make them.
pub(crate) fn refusal(code: Code, reason: &'static str) -> Status {
    let mut status = Status::new(code, format!("{reason}: as the test asked"));
    status.metadata_mut().insert("mc-reason", MetadataValue::from_static(reason));
    status
}

/// The same with lines to blame.
pub(crate) fn blaming(reason: &'static str, lines: Vec<pb::LineProblem>) -> Status {
    let mut status = refusal(Code::Aborted, reason);
    let bytes = pb::LineProblems { lines }.encode_to_vec();
    status.metadata_mut().insert_bin("mc-lines-bin", MetadataValue::from_bytes(&bytes));
    status
}

/// Writes a service whose every call is taken in by [`ScriptedOrders::once`].
macro_rules! calls {
    ($service:ident {
        $($name:ident($state:ident, $who:ident, $message:ident: $request:ident) -> $response:ident $body:block)+
    } $($more:tt)*) => {
        #[tonic::async_trait]
        impl $service for ScriptedOrders {
            $(
                async fn $name(
                    &self,
                    request: Grpc<pb::$request>,
                ) -> Result<Reply<pb::$response>, Status> {
                    self.once(
                        stringify!($name),
                        request,
                        |$state: &mut State, $who: &str, $message: pb::$request| -> Result<pb::$response, Status> { $body },
                    )
                }
            )+

            $($more)*
        }
    };
}

use calls;
