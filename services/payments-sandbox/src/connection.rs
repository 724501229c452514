//! Connections that can be reset: a framework's server always says something before it hangs up.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bootstrap::Shutdown;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const CONNECTIONS_MAX: usize = 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// What requests under way may still take at the end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Put into a response's extensions: it is not sent, and the peer finds its connection reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResetConnection;

/// Serves until `shutdown`, then lets what is under way end, for a while.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let closing = CancellationToken::new();
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
            Ok((stream, place)) => {
                let (router, closing) = (router.clone(), closing.clone());
                connections.spawn(async move {
                    converse(stream, router, closing).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    closing.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = ended => {}
        () = tokio::time::sleep(LAST_WORDS) => {}
        () = shutdown.hard.cancelled() => {}
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn converse(stream: TcpStream, router: Router, closing: CancellationToken) {
    let reset = Arc::new(AtomicBool::new(false));
    let stream = Resettable { stream, reset: Arc::clone(&reset) };
    let service = service_fn(move |request| answer(router.clone(), request, Arc::clone(&reset)));
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

/// Said by the service instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is to be reset")]
struct Reset;

async fn answer(
    router: Router,
    request: Request<Incoming>,
    reset: Arc<AtomicBool>,
) -> Result<Response<Body>, Reset> {
    let answered: Result<Response<Body>, Infallible> = router.oneshot(request.map(Body::new)).await;
    let response = answered.unwrap_or_else(|never| match never {});
    if response.extensions().get::<ResetConnection>().is_some() {
        reset.store(true, Ordering::Release);
        return Err(Reset);
    }
    Ok(response)
}

/// A stream that says RST instead of FIN when it was told to.
struct Resettable {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Acquire)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection is closed instead of reset");
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Acquire) {
            // A FIN first would be read as an orderly end.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
