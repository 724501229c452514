//! An accept loop that owns its sockets.
//!
//! A graceful shutdown that waits for its peers can be held for ever by one that connected and says nothing, or
//! by an open stream. Here every connection is a task of ours, so the end of the drain really ends them all.

mod preface;

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    service::Service,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::preface::{Opened, open_http2};
use crate::{Shutdown, shutdown::IN_FLIGHT_MAX};

const CONNECTIONS_MAX: usize = 1024;
const STREAMS_PER_CONNECTION_MAX: u32 = 1024;
/// Our callers cancel in bursts when they are cancelled; the library's 20 would cost them the connection.
const RESETS_PENDING_MAX: usize = 256;
/// Twice the metadata limit, so that a request just above that is refused by name and not by protocol.
const HEADER_LIST_BYTES_MAX: u32 = 32 * 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Long-lived connections stick to one replica; an end now and then lets clients spread again.
const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// What streams on a connection that is too old may still take.
const AGE_GRACE: Duration = Duration::from_secs(30);
/// From "you are too late" to closed sockets: time to write the answer.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Serves until `shutdown`, then drains, then drops what is left. `late` is cancelled when requests still in
/// flight have to be answered with an error.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    protocol: Protocol,
    service: impl Fn(SocketAddr) -> S,
    shutdown: &Shutdown,
    late: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let closing = CancellationToken::new();
    // Dropping the set aborts its tasks, so a cancelled `serve` leaves no connection either.
    let mut connections = JoinSet::new();
    let mut stop = pin!(shutdown.stop_accepting());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let connection = Connection { stream, protocol, closing: closing.clone() };
                let service = service(peer);
                connections.spawn(async move {
                    connection.serve(service).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely; trying again at once would only burn the processor.
                tracing::warn!(%error, "accepting a connection failed");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    closing.cancel();
    let drained = tokio::select! {
        () = all_ended(&mut connections) => true,
        () = sleep(IN_FLIGHT_MAX) => false,
        () = shutdown.hard.cancelled() => false,
    };
    if !drained {
        late.cancel();
        let _ = timeout(LAST_WORDS, all_ended(&mut connections)).await;
        if !connections.is_empty() {
            tracing::warn!(connections = connections.len(), "dropping connections that did not end");
        }
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

async fn all_ended(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

struct Connection {
    stream: TcpStream,
    protocol: Protocol,
    closing: CancellationToken,
}

impl Connection {
    async fn serve<S, B>(self, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = match self.protocol {
            Protocol::Http1 => Opened::unread(self.stream),
            Protocol::Http2 => {
                let opened = tokio::select! {
                    opened = open_http2(self.stream) => opened,
                    () = self.closing.cancelled() => return,
                };
                match opened {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::debug!(%error, "closing a connection that does not speak HTTP/2");
                        return;
                    }
                }
            }
        };
        let builder = builder(self.protocol);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let age_max = AGE_MAX.mul_f64(0.8 + 0.4 * fastrand::f64());
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = self.closing.cancelled() => None,
            () = sleep(age_max) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                // A drain ends sooner, by dropping this task.
                let give_up = Instant::now() + AGE_GRACE;
                tokio::select! {
                    ended = &mut connection => ended,
                    () = sleep_until(give_up) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended with an error");
        }
    }
}

fn builder(protocol: Protocol) -> auto::Builder<TokioExecutor> {
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    builder
}
