//! The pulse of the purge pipeline: four times a second the invalidator says how far the log is.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::clock::{Moment, millis};

/// The core NATS subject of heartbeats; they are never stored.
pub const SUBJECT: &str = "hb.purge";

/// How often the invalidator sends one.
pub const INTERVAL: Duration = Duration::from_millis(250);

/// What the invalidator knows about the pipeline, all services together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The current life of the log; never 0.
    pub epoch: u16,
    /// The last sequence of the stream `PURGES`.
    pub last_seq: u64,
    /// The age of the oldest committed change that is not on the log yet, in milliseconds.
    pub oldest_pending_ms: u64,
    /// Every transaction below this id has its purges on the log.
    pub published_xmin: u64,
}

/// Bytes that are no heartbeat of a known version.
#[derive(Debug, thiserror::Error)]
#[error("a heartbeat of {length} bytes cannot be read")]
pub struct UnreadableHeartbeat {
    length: usize,
}

/// A heartbeat with the traces of who sent it, and when by that process's own monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) heartbeat: Heartbeat,
    sender: u64,
    sent_ms: u64,
}

impl Heartbeat {
    const VERSION: u8 = 1;
    const LENGTH: usize = 1 + 2 + 5 * 8;

    /// The bytes to send *now*: they also carry this process's identity and monotonic clock, from which
    /// receivers tell a heartbeat that was held up on the way from a timely one.
    pub fn encode(&self) -> Vec<u8> {
        Beat { heartbeat: *self, sender: process().0, sent_ms: millis(process().1.elapsed()) }.encode()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are no heartbeat of a known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, UnreadableHeartbeat> {
        Ok(Beat::decode(bytes)?.heartbeat)
    }

    /// Sends it.
    ///
    /// # Errors
    /// When the client has shut down. A disconnected client queues it; receivers see that it is old.
    pub async fn send(&self, nats: &async_nats::Client) -> Result<(), async_nats::PublishError> {
        #[expect(clippy::disallowed_methods, reason = "a heartbeat is worthless late, so it is never stored")]
        nats.publish(SUBJECT, self.encode().into()).await
    }
}

impl Beat {
    /// Whether the same sender named a greater sequence of the same epoch before: the log lost its end.
    pub(crate) fn is_behind(&self, previous: &Self) -> bool {
        self.sender == previous.sender
            && self.heartbeat.epoch == previous.heartbeat.epoch
            && self.heartbeat.last_seq < previous.heartbeat.last_seq
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Heartbeat::LENGTH);
        bytes.push(Heartbeat::VERSION);
        bytes.extend_from_slice(&self.heartbeat.epoch.to_le_bytes());
        let numbers = [
            self.heartbeat.last_seq,
            self.heartbeat.oldest_pending_ms,
            self.heartbeat.published_xmin,
            self.sender,
            self.sent_ms,
        ];
        for number in numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, UnreadableHeartbeat> {
        Self::read(bytes).ok_or(UnreadableHeartbeat { length: bytes.len() })
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        if version != Heartbeat::VERSION || bytes.len() != Heartbeat::LENGTH {
            return None;
        }
        let number = |index: usize| {
            let bytes = rest.get(index * 8..)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        let heartbeat = Heartbeat {
            epoch: u16::from_le_bytes(*epoch),
            last_seq: number(0)?,
            oldest_pending_ms: number(1)?,
            published_xmin: number(2)?,
        };
        Some(Self { heartbeat, sender: number(3)?, sent_ms: number(4)? })
    }
}

/// This process: a random name, and the start of its clock.
fn process() -> &'static (u64, Instant) {
    static PROCESS: OnceLock<(u64, Instant)> = OnceLock::new();
    PROCESS.get_or_init(|| {
        // The lower half of a time-ordered id is random.
        let (_, random) = Uuid::now_v7().as_u64_pair();
        (random, Instant::now())
    })
}

/// Tells when a heartbeat was sent, on the receiver's clock, without comparing clocks.
///
/// The two clocks differ by a constant; the smallest difference seen is that constant plus the shortest
/// delay. Whatever a heartbeat shows beyond it, it was held up: a connection that stalls for ten seconds
/// and then delivers forty heartbeats at once does not look alive.
#[derive(Debug, Default)]
pub(crate) struct DelayMeter {
    sender: Option<Sender>,
}

#[derive(Debug)]
struct Sender {
    id: u64,
    /// Smallest differences of the current and of the previous window: clocks drift, so the smallest one
    /// must not be kept for ever.
    smallest: [u64; 2],
    window_began_ms: u64,
}

impl DelayMeter {
    const WINDOW: Duration = Duration::from_secs(300);

    /// When `beat`, received `now`, was sent.
    pub(crate) fn sent_at(&mut self, now: Moment, beat: &Beat) -> Moment {
        let difference = now.to_bits().wrapping_sub(beat.sent_ms);
        let sender = match &mut self.sender {
            Some(sender) if sender.id == beat.sender => sender,
            sender => sender.insert(Sender {
                id: beat.sender,
                smallest: [difference, u64::MAX],
                window_began_ms: beat.sent_ms,
            }),
        };
        if beat.sent_ms.saturating_sub(sender.window_began_ms) > millis(Self::WINDOW) {
            sender.smallest = [u64::MAX, sender.smallest[0]];
            sender.window_began_ms = beat.sent_ms;
        }
        sender.smallest[0] = sender.smallest[0].min(difference);
        let usual = sender.smallest[0].min(sender.smallest[1]);
        now.minus(Duration::from_millis(difference.saturating_sub(usual)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Beat, DelayMeter, Heartbeat};
    use crate::clock::Moment;

    fn beat(sender: u64, sent_ms: u64) -> Beat {
        let heartbeat = Heartbeat { epoch: 1, last_seq: 0, oldest_pending_ms: 0, published_xmin: 0 };
        Beat { heartbeat, sender, sent_ms }
    }

    proptest! {
        #[test]
        fn comes_back(
            epoch: u16, last_seq: u64, oldest_pending_ms: u64, published_xmin: u64, sender: u64, sent_ms: u64,
        ) {
            let heartbeat = Heartbeat { epoch, last_seq, oldest_pending_ms, published_xmin };
            let beat = Beat { heartbeat, sender, sent_ms };
            prop_assert_eq!(Beat::decode(&beat.encode()).expect("what was written"), beat);
            prop_assert!(Beat::decode(&beat.encode()[1..]).is_err());
        }

        #[test]
        fn garbage_is_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(beat) = Beat::decode(&bytes) {
                prop_assert_eq!(beat.encode(), bytes);
            }
        }
    }

    #[test]
    fn the_public_form_carries_the_heartbeat() {
        let heartbeat = Heartbeat { epoch: 3, last_seq: 4, oldest_pending_ms: 5, published_xmin: 6 };
        assert_eq!(Heartbeat::decode(&heartbeat.encode()).expect("what was written"), heartbeat);
    }

    #[test]
    fn a_burst_after_a_stall_is_as_old_as_it_is() {
        let at = |ms: u64| Moment::NEVER.plus(Duration::from_millis(1_000_000 + ms));
        let mut meter = DelayMeter::default();
        assert_eq!(meter.sent_at(at(40), &beat(7, 0)), at(40));
        assert_eq!(meter.sent_at(at(290), &beat(7, 250)), at(290));
        // Sent at 500 and 3 000 of the sender's clock, all delivered at 3 040.
        assert_eq!(meter.sent_at(at(3_040), &beat(7, 500)), at(540));
        assert_eq!(meter.sent_at(at(3_040), &beat(7, 3_000)), at(3_040));
    }

    #[test]
    fn only_the_same_sender_and_epoch_can_go_back() {
        let beat = |sender, epoch, last_seq| {
            let heartbeat = Heartbeat { epoch, last_seq, oldest_pending_ms: 0, published_xmin: 0 };
            Beat { heartbeat, sender, sent_ms: 0 }
        };
        let previous = beat(7, 1, 10);
        assert!(beat(7, 1, 9).is_behind(&previous));
        assert!(!beat(7, 1, 10).is_behind(&previous));
        assert!(!beat(8, 1, 9).is_behind(&previous), "two invalidators may differ by a moment");
        assert!(!beat(7, 2, 0).is_behind(&previous), "a new epoch may count anew");
    }

    #[test]
    fn another_sender_starts_another_measure() {
        let mut meter = DelayMeter::default();
        let now = Moment::NEVER.plus(Duration::from_millis(1_000_000));
        meter.sent_at(now, &beat(7, 900_000));
        assert_eq!(meter.sent_at(now, &beat(8, 3)), now);
    }

    #[test]
    fn drifting_clocks_are_forgiven() {
        let mut meter = DelayMeter::default();
        // The sender's clock runs 100 ppm slow: after a day the difference has grown by 8.6 s.
        for beats in 0..(24 * 3_600_u64) {
            let sent = beats * 1_000;
            let now = Moment::NEVER.plus(Duration::from_millis(1_000_000 + sent + sent / 10_000));
            let sent_at = meter.sent_at(now, &beat(7, sent));
            assert!(now.since(sent_at) < Duration::from_millis(100), "after {beats} s");
        }
    }
}
