//! The connection under the HTTP parser: holds heads back until they are whole and checked, and lets no
//! client be slow for long.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use latency::Reading;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::framing::{Advance, Framer, Refusal};

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From accepting to the first byte.
    pub first_byte: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// For a body, besides the time that its bytes take at `bytes_per_s`.
    pub body: Duration,
    /// For the client to take what we write, besides the time that the bytes take at `bytes_per_s`.
    pub stall: Duration,
    /// The slowest client that we bear with.
    pub bytes_per_s: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(5),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            bytes_per_s: 16 * 1024,
        }
    }
}

impl Patience {
    fn transfer(&self, bytes: u64) -> Duration {
        Duration::from_millis(bytes.saturating_mul(1000) / self.bytes_per_s.max(1))
    }
}

/// What the handlers of a connection's requests may know about the connection. Shared on one thread.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// When the first byte of the newest head arrived.
    pub(crate) head_started: Cell<Option<Reading>>,
    /// Set when the newest head was refused.
    pub(crate) refusal: Cell<Option<Refusal>>,
    /// Set when a body took too long and was cut off.
    pub(crate) body_timed_out: Cell<bool>,
}

/// A client connection, as the HTTP parser sees it.
pub(crate) struct Conn<S> {
    io: S,
    peer: Rc<Peer>,
    patience: Patience,
    framer: Framer,
    /// Bytes as received that are not yet dealt with.
    input: BytesMut,
    /// Bytes that the parser may take.
    output: BytesMut,
    waiting: Waiting,
    read_timer: Option<Pin<Box<Sleep>>>,
    /// Set while the client does not take what we write.
    write_timer: Option<Pin<Box<Sleep>>>,
}

/// What the reading side waits for, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    FirstByte {
        since: Instant,
    },
    /// Between requests: the keep-alive time of the HTTP layer holds.
    Idle,
    Head {
        since: Instant,
    },
    Body {
        since: Instant,
    },
    /// Nothing more is read.
    Closed,
}

const READ_BYTES: usize = 8 * 1024;

impl<S> Conn<S> {
    pub(crate) fn new(io: S, patience: Patience) -> Self {
        Self {
            io,
            peer: Rc::new(Peer::default()),
            patience,
            framer: Framer::default(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            waiting: Waiting::FirstByte { since: Instant::now() },
            read_timer: None,
            write_timer: None,
        }
    }

    pub(crate) fn peer(&self) -> Rc<Peer> {
        Rc::clone(&self.peer)
    }

    /// Moves checked bytes from input to output.
    fn process(&mut self) {
        while !self.input.is_empty() {
            let in_head = self.framer.in_head();
            match self.framer.advance(&self.input, &mut self.output) {
                Advance::Used(used) => {
                    self.input.advance(used);
                    self.waiting = if !self.framer.in_head() {
                        match self.waiting {
                            Waiting::Body { since } if !in_head => Waiting::Body { since },
                            _ => Waiting::Body { since: Instant::now() },
                        }
                    } else if self.input.is_empty() {
                        Waiting::Idle
                    } else {
                        Waiting::Head { since: Instant::now() }
                    };
                    self.read_timer = None;
                }
                Advance::NeedMore => return,
                Advance::Refused(refusal) => {
                    self.peer.refusal.set(Some(refusal));
                    return self.close();
                }
                Advance::Broken => return self.close(),
            }
        }
    }

    fn close(&mut self) {
        self.waiting = Waiting::Closed;
        self.read_timer = None;
        self.input.clear();
    }

    /// Acts on the deadline of what is being read; ready when it has passed.
    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.waiting {
            Waiting::FirstByte { since } => since + self.patience.first_byte,
            Waiting::Head { since } => since + self.patience.head,
            Waiting::Body { since } => {
                since + self.patience.body + self.patience.transfer(self.framer.body_bytes())
            }
            Waiting::Idle | Waiting::Closed => return Poll::Pending,
        };
        ready!(poll_timer(&mut self.read_timer, deadline, cx));
        match self.waiting {
            Waiting::Head { .. } => {
                if let Advance::Refused(refusal) = self.framer.refuse(Refusal::Timeout, &mut self.output) {
                    self.peer.refusal.set(Some(refusal));
                }
            }
            Waiting::Body { .. } => self.peer.body_timed_out.set(true),
            // A connection on which nothing was ever asked is closed without a word.
            Waiting::FirstByte { .. } | Waiting::Idle | Waiting::Closed => {}
        }
        self.close();
        Poll::Ready(())
    }
}

fn poll_timer(timer: &mut Option<Pin<Box<Sleep>>>, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
    if timer.deadline() != deadline {
        timer.as_mut().reset(deadline);
    }
    timer.as_mut().poll(cx)
}

impl<S: AsyncRead + Unpin> AsyncRead for Conn<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.output.is_empty() {
                let count = this.output.len().min(buf.remaining());
                buf.put_slice(&this.output[..count]);
                this.output.advance(count);
                return Poll::Ready(Ok(()));
            }
            if this.waiting == Waiting::Closed {
                return Poll::Ready(Ok(()));
            }
            this.input.reserve(READ_BYTES);
            let before = this.input.len();
            match tokio_util::io::poll_read_buf(Pin::new(&mut this.io), cx, &mut this.input) {
                Poll::Ready(Ok(0)) => {
                    this.close();
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) => {
                    if before == 0 && this.framer.in_head() {
                        this.peer.head_started.set(Some(Reading::now()));
                        this.waiting = Waiting::Head { since: Instant::now() };
                    }
                    this.process();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(this.poll_read_deadline(cx)),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Conn<S> {
    /// Notes progress or its absence; an error when the client has stalled for too long.
    fn watch_writes(&mut self, cx: &mut Context<'_>, wrote: Poll<usize>) -> Poll<io::Result<usize>> {
        match (wrote, self.write_timer.as_mut()) {
            (Poll::Ready(bytes), None) => Poll::Ready(Ok(bytes)),
            (Poll::Ready(bytes), Some(timer)) => {
                let later = timer.deadline() + self.patience.transfer(bytes as u64);
                timer.as_mut().reset(later);
                Poll::Ready(Ok(bytes))
            }
            (Poll::Pending, _) => {
                let stall = self.patience.stall;
                let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not take its answer",
                )))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Conn<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(cx, buf)?;
        self.watch_writes(cx, wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if flushed.is_ready() {
            self.write_timer = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for Conn<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("waiting", &self.waiting)
            .field("framer", &self.framer)
            .finish_non_exhaustive()
    }
}
