//! The gateway's own listener: accepting is actix's, the connection under the HTTP parser is ours.
//!
//! Requests travel: socket → `Conn` (checks and encodes the head, keeps the clocks) → actix's HTTP/1 layer →
//! the front. When the process must end, every connection is dropped, whatever state it is in.

mod framing;
mod head;
mod stream;

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use actix_http::body::MessageBody;
use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{Service, ServiceFactory};
use futures_util::future::LocalBoxFuture;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub(crate) use framing::REFUSED_PATH;
pub use framing::{Advance, Framer, Refusal};
pub use framing::{HEADER_LINES_MAX, HEADERS_BYTES_MAX, REQUEST_LINE_BYTES_MAX};
pub use stream::Patience;
pub(crate) use stream::{Conn, Peer};

/// Longer than the idle time of the proxy in front, so that it is the proxy that closes.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// After an answer to a request whose body was not read, what is still arriving is read for so long.
const LINGER: Duration = Duration::from_secs(1);
/// For requests under way when the listener closes.
const DRAIN_SECONDS: u64 = 15;
/// Connections of one worker.
const CONNECTIONS_MAX: usize = 10_000;

/// Serves `make` on every worker until the returned server's handle is told to stop. When `hard` is cancelled,
/// every connection is dropped.
///
/// # Errors
/// When the socket cannot be used.
pub(crate) fn serve<M, F, B>(
    socket: TcpListener,
    workers: usize,
    patience: Patience,
    hard: CancellationToken,
    make: M,
) -> std::io::Result<Server>
where
    M: Fn() -> F + Send + Clone + 'static,
    F: ServiceFactory<Request, Config = (), Response = Response<B>, Error = actix_web::Error, InitError = ()>
        + 'static,
    F::Future: 'static,
    F::Service: 'static,
    <F::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let builder = ServerBuilder::new();
    // Idle connections are closed and answers say `close` as soon as the listener closes.
    let graceful = builder.graceful_shutdown_signal();
    let http = move || {
        let graceful = graceful.clone();
        let http = HttpService::build()
            .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
            // The connection keeps this clock itself.
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(LINGER)
            .h1_write_buffer_size(64 * 1024)
            .graceful_shutdown_signal(move || {
                let graceful = graceful.clone();
                async move { graceful.notified().await }
            })
            .on_connect_ext(|conn: &Conn<TcpStream>, data| {
                data.insert(conn.peer());
            })
            .finish(make());
        AcceptorFactory { http, patience, hard: hard.clone() }
    };
    let server = builder
        .workers(workers)
        .max_concurrent_connections(CONNECTIONS_MAX)
        .disable_signals()
        .shutdown_timeout(DRAIN_SECONDS)
        .listen("http", socket, http)?
        .run();
    Ok(server)
}

/// Makes an [`Acceptor`] for each worker.
struct AcceptorFactory<H> {
    http: H,
    patience: Patience,
    hard: CancellationToken,
}

/// What an accepted socket becomes.
type Accepted = (Conn<TcpStream>, Protocol, Option<SocketAddr>);

impl<H> ServiceFactory<TcpStream> for AcceptorFactory<H>
where
    H: ServiceFactory<Accepted, Config = (), Response = (), Error = DispatchError, InitError = ()>,
    H::Future: 'static,
    H::Service: 'static,
    <H::Service as Service<Accepted>>::Future: 'static,
{
    type Response = ();
    type Error = DispatchError;
    type Config = ();
    type Service = Acceptor<H::Service>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let http = self.http.new_service(());
        // A child of the worker's own: polling it contends with no other thread.
        let (patience, hard) = (self.patience, self.hard.child_token());
        Box::pin(async move { Ok(Acceptor { http: Rc::new(http.await?), patience, hard }) })
    }
}

/// Serves the connections of one worker.
struct Acceptor<S> {
    http: Rc<S>,
    patience: Patience,
    hard: CancellationToken,
}

impl<S> Service<TcpStream> for Acceptor<S>
where
    S: Service<Accepted, Response = (), Error = DispatchError> + 'static,
    S::Future: 'static,
{
    type Response = ();
    type Error = DispatchError;
    type Future = LocalBoxFuture<'static, Result<(), DispatchError>>;

    fn poll_ready(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), DispatchError>> {
        self.http.poll_ready(cx)
    }

    fn call(&self, socket: TcpStream) -> Self::Future {
        let peer = socket.peer_addr().ok();
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a socket without TCP_NODELAY");
        }
        let served = self.http.call((Conn::new(socket, self.patience), Protocol::Http1, peer));
        let hard = self.hard.clone();
        Box::pin(async move {
            tokio::select! {
                biased;
                served = served => {
                    // Clients break off and send nonsense all day: no news for our log.
                    if let Err(error) = &served {
                        tracing::debug!(%error, "a connection ended");
                    }
                    served
                }
                () = hard.cancelled() => Ok(()),
            }
        })
    }
}
