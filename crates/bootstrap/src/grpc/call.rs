//! Around each RPC: limits, deadline, trace, and an answer whatever happens.

use std::{
    convert::Infallible, net::SocketAddr, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration,
};

use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use opentelemetry::{
    Context, KeyValue,
    trace::{FutureExt as _, SpanKind},
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body, service::Routes, transport::server::TcpConnectInfo};
use tower::Service as _;

use super::{
    DEADLINE_DEFAULT, METADATA_BYTES_MAX,
    body::{End, Limited, Timed},
    deadline::{self, Deadline},
};
use crate::trace::{self, Edge, Parent};

/// A caller may ask for less time, not for more than this.
const DEADLINE_MAX: Duration = Duration::from_secs(60 * 60);

/// Health watches and reflection are infrastructure: open for as long as their caller likes.
const INFRASTRUCTURE: &str = "/grpc.";

/// Names from outside are cut to this length in spans.
const METHOD_BYTES_MAX: usize = 256;

/// All RPCs of one server.
#[derive(Clone)]
pub(super) struct Calls {
    routes: Routes,
    local: SocketAddr,
    late: CancellationToken,
}

/// All RPCs of one connection.
pub(super) struct PeerCalls {
    calls: Arc<Calls>,
    peer: SocketAddr,
}

impl Calls {
    pub(super) fn new(routes: Routes, local: SocketAddr, late: CancellationToken) -> Arc<Self> {
        Arc::new(Self { routes, local, late })
    }

    pub(super) fn of(self: &Arc<Self>, peer: SocketAddr) -> PeerCalls {
        PeerCalls { calls: Arc::clone(self), peer }
    }

    async fn answer(self: Arc<Self>, peer: SocketAddr, mut request: Request<Incoming>) -> Response<Body> {
        if metadata_bytes(request.headers()) > METADATA_BYTES_MAX {
            return Status::resource_exhausted(format!("metadata over {METADATA_BYTES_MAX} bytes"))
                .into_http();
        }
        let timeout = match deadline::timeout(request.headers()) {
            Ok(Some(timeout)) => Some(timeout.min(DEADLINE_MAX)),
            Ok(None) if request.uri().path().starts_with(INFRASTRUCTURE) => None,
            Ok(None) => Some(DEADLINE_DEFAULT),
            Err(status) => return status.into_http(),
        };
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let extensions = request.extensions_mut();
        if let Some(deadline) = deadline {
            extensions.insert(Deadline(deadline));
        }
        extensions.insert(TcpConnectInfo { local_addr: Some(self.local), remote_addr: Some(peer) });
        let span = Span::start(&request);
        let context = span.as_ref().map(Span::context);
        let request = request.map(|body| Body::new(Limited::new(body)));

        let handled = AssertUnwindSafe(self.routes.clone().call(request)).catch_unwind();
        let handled = async {
            tokio::select! {
                biased;
                handled = handled => handled.unwrap_or_else(|_panic| {
                    // The panic hook has logged where and why.
                    Ok(Status::internal("internal error").into_http())
                }),
                () = expired(deadline) => Ok(Status::deadline_exceeded("deadline exceeded").into_http()),
                () = self.late.cancelled() => Ok(Status::unavailable("draining").into_http()),
            }
        };
        let response = match context {
            Some(context) => handled.with_context(context).await,
            None => handled.await,
        };
        let Ok::<_, Infallible>(response) = response;
        match Status::from_header_map(response.headers()) {
            Some(status) => {
                if let Some(span) = span {
                    span.finish(status.code());
                }
                response
            }
            None => {
                let end = End::new(deadline, self.late.clone());
                response.map(|body| Body::new(Timed::new(body, end, span)))
            }
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for PeerCalls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(Arc::clone(&self.calls).answer(self.peer, request).map(Ok))
    }
}

async fn expired(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn metadata_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The server span of a sampled RPC; without [`Span::finish`] it ends as cancelled.
pub(super) struct Span {
    edge: Edge,
    status: Code,
}

impl Span {
    /// `None` unless the caller's trace is sampled: services never start a trace of their own.
    fn start(request: &Request<Incoming>) -> Option<Self> {
        let caller = trace::server_context(request.headers());
        let method = request.uri().path().trim_start_matches('/');
        let method = &method[..method.floor_char_boundary(METHOD_BYTES_MAX)];
        let edge = Edge::start(SpanKind::Server, method.to_owned(), Parent::Sampled(&caller), || {
            vec![KeyValue::new("rpc.system.name", "grpc"), KeyValue::new("rpc.method", method.to_owned())]
        });
        edge.is_sampled().then_some(Self { edge, status: Code::Cancelled })
    }

    pub(super) fn context(&self) -> Context {
        self.edge.context()
    }

    pub(super) fn finish(mut self, status: Code) {
        self.status = status;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let name = code_name(self.status);
        self.edge.record("rpc.response.status_code", name);
        if is_our_fault(self.status) {
            self.edge.fail(name);
        }
    }
}

/// Which codes mark a server span as failed; the others are the caller's business.
fn is_our_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
