//! Request bodies with a limit, response bodies with a deadline.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::{MESSAGE_BYTES_MAX, call::Span};

/// A gRPC message on the wire starts with a compression flag and four bytes of length.
const PREFIX_BYTES: usize = 5;

/// A request's body; refuses a message that announces more than the limit before it is read.
#[derive(Debug)]
pub(super) struct Limited {
    inner: Incoming,
    prefix: [u8; PREFIX_BYTES],
    prefix_filled: usize,
    message_left: usize,
}

impl Limited {
    pub(super) fn new(inner: Incoming) -> Self {
        Self { inner, prefix: [0; PREFIX_BYTES], prefix_filled: 0, message_left: 0 }
    }

    fn inspect(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        while !bytes.is_empty() {
            if self.message_left > 0 {
                let skipped = self.message_left.min(bytes.len());
                self.message_left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let wanted = (PREFIX_BYTES - self.prefix_filled).min(bytes.len());
            self.prefix[self.prefix_filled..self.prefix_filled + wanted].copy_from_slice(&bytes[..wanted]);
            self.prefix_filled += wanted;
            bytes = &bytes[wanted..];
            if self.prefix_filled == PREFIX_BYTES {
                let [_, length @ ..] = self.prefix;
                self.message_left = u32::from_be_bytes(length) as usize;
                self.prefix_filled = 0;
                if self.message_left > MESSAGE_BYTES_MAX {
                    return Err(Status::resource_exhausted(format!(
                        "message of {} bytes, the limit is {MESSAGE_BYTES_MAX}",
                        self.message_left
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.map_err(|error| Status::from_error(Box::new(error)))?;
        if let Some(data) = frame.data_ref() {
            self.inspect(data)?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response's body: ends in time, whatever the handler does, and tells the span how it ended.
pub(super) struct Timed {
    inner: Option<tonic::body::Body>,
    end: End,
    span: Option<Span>,
}

/// What can end a body from outside. The timers are made when the body first waits, which a unary one never
/// does.
pub(super) struct End {
    pub(super) deadline: Option<Instant>,
    pub(super) late: CancellationToken,
    waiting: Option<Waiting>,
}

struct Waiting {
    sleep: Option<Pin<Box<Sleep>>>,
    late: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl End {
    pub(super) fn new(deadline: Option<Instant>, late: CancellationToken) -> Self {
        Self { deadline, late, waiting: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            sleep: self.deadline.map(|deadline| Box::pin(sleep_until(deadline))),
            late: Box::pin(self.late.clone().cancelled_owned()),
        });
        if let Some(sleep) = &mut waiting.sleep
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Status::deadline_exceeded("deadline exceeded"));
        }
        waiting.late.as_mut().poll(cx).map(|()| Status::unavailable("draining"))
    }
}

impl Timed {
    pub(super) fn new(inner: tonic::body::Body, end: End, span: Option<Span>) -> Self {
        Self { inner: Some(inner), end, span }
    }

    fn finish(&mut self, status: Option<&Status>) {
        self.inner = None;
        if let Some(span) = self.span.take() {
            span.finish(status.map_or(tonic::Code::Unknown, Status::code));
        }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let attached = this.span.as_ref().map(|span| span.context().attach());
        let polled = Pin::new(inner).poll_frame(cx);
        drop(attached);
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.finish(Status::from_header_map(trailers).as_ref());
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(status))) => {
                this.finish(Some(&status));
                Poll::Ready(Some(Err(status)))
            }
            Poll::Ready(None) => {
                this.finish(None);
                Poll::Ready(None)
            }
            Poll::Pending => {
                let status = ready!(this.end.poll(cx));
                this.finish(Some(&status));
                let mut trailers = HeaderMap::new();
                // A status of our own making has a plain message, which always fits a header.
                Poll::Ready(match status.add_header(&mut trailers) {
                    Ok(()) => Some(Ok(Frame::trailers(trailers))),
                    Err(status) => Some(Err(status)),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(tonic::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
