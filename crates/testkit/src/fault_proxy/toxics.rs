//! What is wrong with one direction of a network.

use std::time::Duration;

use tokio::time::Instant;

/// How bad one direction of a link is. The default passes everything on at once.
///
/// All of it holds at the same time, for open connections and for those to come. Bytes are counted per connection
/// from the moment that these toxics were set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toxics {
    /// Everything arrives later by this …
    pub latency: Duration,
    /// … give or take up to this; bytes keep their order.
    pub jitter: Duration,
    /// Bytes per second; as many as come when absent.
    pub bandwidth: Option<u64>,
    /// Bytes go on in pieces of at most this many, each [`slice_pause`](Self::slice_pause) after the one before.
    pub slice_bytes: Option<usize>,
    /// See [`slice_bytes`](Self::slice_bytes).
    pub slice_pause: Duration,
    /// What becomes of bytes, and of the connection.
    pub flow: Flow,
}

/// What becomes of the bytes of one direction, and of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They arrive.
    #[default]
    Open,
    /// They wait, and arrive when this ends: a network that loses every packet.
    Held,
    /// They are taken and lost. A connection that lost some is reset when this ends.
    Swallowed,
    /// They arrive, but never that the sender has closed.
    HalfOpen,
    /// The connection is reset when so many have passed; what passes that mark does not arrive.
    ResetAfter(u64),
    /// The connection is closed in order when so many have passed; what passes that mark does not arrive.
    ClosedAfter(u64),
}

/// How a connection ends before its peers wanted it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    Reset,
    Closed,
}

/// When the bytes of one direction of one connection arrive.
#[derive(Debug)]
pub(super) struct Schedule {
    draw: fastrand::Rng,
    /// When the last piece arrives: none after it may arrive earlier.
    last: Instant,
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        Self { draw: fastrand::Rng::with_seed(seed), last: Instant::now() }
    }

    /// When `bytes` more arrive that were sent now.
    pub(super) fn arrival(&mut self, toxics: &Toxics, bytes: usize) -> Instant {
        let jitter = u64::try_from(toxics.jitter.as_micros()).unwrap_or(u64::MAX);
        let drawn = Duration::from_micros(self.draw.u64(0..=jitter.saturating_mul(2)));
        let latency = (toxics.latency + drawn).saturating_sub(toxics.jitter);
        let mut at = (Instant::now() + latency).max(self.last);
        if let Some(per_second) = toxics.bandwidth {
            at += Duration::from_secs(1).mul_f64(bytes as f64 / per_second.max(1) as f64);
        }
        if toxics.slice_bytes.is_some() {
            at += toxics.slice_pause;
        }
        self.last = at;
        at
    }
}
