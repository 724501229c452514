//! The body of a response, and the end of its request's timing.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use latency::Timing;

/// A response body that ends the request's timing with its last byte. Dropped before, the request counts as
/// cancelled.
#[derive(Debug)]
pub(crate) enum Body {
    /// Nothing to send, or everything sent.
    Done,
    /// All of it in one piece.
    Whole { bytes: Bytes, timing: Timing },
    /// Piece by piece.
    Stream { inner: BoxBody, timing: Option<Timing> },
}

impl Body {
    pub(super) fn of(bytes: Bytes, timing: Timing) -> Self {
        if bytes.is_empty() {
            timing.finish();
            return Self::Done;
        }
        Self::Whole { bytes, timing }
    }
}

impl MessageBody for Body {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        match self {
            Self::Done => BodySize::Sized(0),
            Self::Whole { bytes, .. } => BodySize::Sized(bytes.len() as u64),
            Self::Stream { inner, .. } => inner.size(),
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        match &mut *self {
            Self::Done => Poll::Ready(None),
            Self::Whole { .. } => match std::mem::replace(&mut *self, Self::Done) {
                Self::Whole { bytes, timing } => {
                    timing.finish();
                    Poll::Ready(Some(Ok(bytes)))
                }
                Self::Done | Self::Stream { .. } => Poll::Ready(None),
            },
            Self::Stream { inner, timing } => {
                let polled = Pin::new(inner).poll_next(cx);
                if matches!(polled, Poll::Ready(None))
                    && let Some(timing) = timing.take()
                {
                    timing.finish();
                }
                polled
            }
        }
    }
}
