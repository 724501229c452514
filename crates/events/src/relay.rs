//! From the outbox to the stream: every committed event is published, in order per aggregate.
//!
//! Every replica of a service runs a relay; per shard one of them leads. The truth is the outbox:
//! a row is pending until the stream has acknowledged it, and becomes pending again when the stream
//! turns out to have lost it. A row published twice is dropped by its id.

mod heartbeat;
mod housekeeping;
mod leader;
mod pending;
mod publish;
mod repair;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream;
use rls::{Database, DatabaseError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use heartbeat::subject as heartbeat_subject;
use leader::{HeartbeatDuty, Leader};
use publish::Published;
use repair::Tail;

/// Looks at the outbox this often while there is work, and this often while there is none; a commit
/// in this process wakes the relay at once.
const POLL_BUSY: Duration = Duration::from_millis(50);
const POLL_IDLE: Duration = Duration::from_millis(500);
/// Pause after a failure: doubles from the first to the second, with jitter.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Acknowledgements of one wave of messages are awaited for so long; what is late is published again.
const ACK_DEADLINE: Duration = Duration::from_secs(2);
/// Messages on the wire without an acknowledgement.
const ACKS_IN_FLIGHT_MAX: usize = 4_096;
/// The stream is compared with the outbox at least this often.
const COMPARE_EVERY: Duration = Duration::from_secs(10);
/// Bounds each statement on the outbox.
const DATABASE_DEADLINE: Duration = Duration::from_secs(2);

/// Whose outbox is relayed, and to where.
#[derive(Clone)]
pub struct RelayConfig {
    /// The service's name, as in `hb.relay.<service>`.
    pub service: &'static str,
    /// The service's database: the relay holds one connection of its own, for its locks.
    pub database_url: String,
    /// Replicas of the stream, should it have to be made again.
    pub stream_replicas: usize,
}

/// The URL holds a password.
impl std::fmt::Debug for RelayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayConfig").field("service", &self.service).finish_non_exhaustive()
    }
}

/// The relay of one replica.
#[derive(Debug)]
pub struct Relay {
    config: RelayConfig,
    db: Database,
    nats: Client,
    jetstream: jetstream::Context,
    /// At or above the highest sequence that a row was acknowledged with.
    stream_seq: Arc<AtomicU64>,
}

/// Why one round did not get everything out.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("NATS is away")]
    Disconnected,
    #[error("the outbox cannot be reached")]
    Outbox(#[from] DatabaseError),
    #[error(transparent)]
    Injected(#[from] failpoints::Injected),
    #[error("the relay's lock connection failed")]
    Lock(#[source] sqlx::Error),
    #[error("the stream cannot be looked at")]
    Stream(#[source] async_nats::Error),
    #[error("{left} events were not acknowledged")]
    Unacknowledged { left: usize, source: Option<async_nats::Error> },
}

impl From<sqlx::Error> for RelayError {
    fn from(error: sqlx::Error) -> Self {
        RelayError::Outbox(error.into())
    }
}

/// What one round did.
enum Round {
    /// Everything that was pending is published.
    Drained { published: usize },
    /// There may be more at once.
    Full,
}

impl Relay {
    /// A relay of `db`'s outbox; nothing happens before [`run`](Self::run).
    pub fn new(config: RelayConfig, db: Database, nats: Client) -> Self {
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(ACK_DEADLINE)
            .ack_timeout(ACK_DEADLINE)
            .max_ack_inflight(ACKS_IN_FLIGHT_MAX)
            .build(nats.clone());
        Self { config, db, nats, jetstream, stream_seq: Arc::new(AtomicU64::new(0)) }
    }

    /// Relays until `shutdown`. Never gives up: it survives the absence of NATS, of the stream and
    /// of the database.
    pub async fn run(self, shutdown: CancellationToken) {
        let (duty, watched) = watch::channel(HeartbeatDuty::Off);
        tokio::join!(self.relay(duty, shutdown.clone()), self.heartbeats(watched, shutdown));
    }

    async fn relay(&self, duty: watch::Sender<HeartbeatDuty>, shutdown: CancellationToken) {
        let mut leader = Leader::new(&self.config.database_url);
        let mut tail = Tail::default();
        let mut pause = PAUSE_MIN;
        let mut housekeeping_due = Instant::now();
        let committed = self.db.committed();
        while !shutdown.is_cancelled() {
            let wait = match self.round(&mut leader, &mut tail, &duty).await {
                Ok(Round::Full) => Duration::ZERO,
                Ok(Round::Drained { published }) => {
                    pause = PAUSE_MIN;
                    if leader.sends_heartbeats() && Instant::now() >= housekeeping_due {
                        housekeeping_due = Instant::now() + self.housekeep().await;
                    }
                    if published > 0 { POLL_BUSY } else { POLL_IDLE }
                }
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(service = self.config.service, %error, source, "relay pauses for {pause:?}");
                    tail.doubt();
                    let wait = pause;
                    pause = (pause * 2).min(PAUSE_MAX);
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = tokio::time::sleep(jittered(wait)) => {}
                    }
                    continue;
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = committed.notified() => {}
                () = tokio::time::sleep(jittered(wait)) => {}
            }
        }
        // Another replica need not wait for this connection to be noticed as gone.
        leader.resign().await;
    }

    /// Takes, publishes and marks what is pending in the shards this relay leads.
    async fn round(
        &self,
        leader: &mut Leader,
        tail: &mut Tail,
        duty: &watch::Sender<HeartbeatDuty>,
    ) -> Result<Round, RelayError> {
        let led = leader.lead().await;
        duty.send_if_modified(|known| {
            let now = if leader.sends_heartbeats() { HeartbeatDuty::On } else { HeartbeatDuty::Off };
            std::mem::replace(known, now) != now
        });
        let shards = led?;
        if shards.is_empty() {
            return Ok(Round::Drained { published: 0 });
        }
        if self.nats.connection_state() != async_nats::connection::State::Connected {
            return Err(RelayError::Disconnected);
        }
        if leader.sends_heartbeats() {
            self.compare(tail).await?;
        }
        let rows = self.pending(&shards).await?;
        if rows.is_empty() {
            return Ok(Round::Drained { published: 0 });
        }
        failpoints::hit("rl.after_select").await?;
        let taken = rows.len();
        let Published { acknowledged, oversize, high, regressed, unacknowledged } =
            self.publish(rows, tail.high()).await;
        failpoints::hit("rl.after_ack_before_mark").await?;
        // Before the rows are marked: who sees them published also sees how far the stream is.
        self.stream_seq.fetch_max(high, Ordering::Release);
        self.mark(acknowledged, oversize).await?;
        failpoints::hit("rl.after_mark").await?;
        tail.saw(high);
        if regressed {
            tail.doubt();
        }
        if let Some((left, source)) = unacknowledged {
            return Err(RelayError::Unacknowledged { left, source });
        }
        if taken >= pending::ROWS_MAX || regressed {
            return Ok(Round::Full);
        }
        Ok(Round::Drained { published: taken })
    }
}

/// Between half and all of `wait`, so that replicas do not step together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}
