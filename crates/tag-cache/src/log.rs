//! The purge log: one JetStream stream that puts all purges of all services in one order.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamError, PublishError};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use futures_util::future::try_join_all;
use uuid::Uuid;

pub use crate::heartbeat::{
    Heartbeat, INTERVAL as HEARTBEAT_INTERVAL, SUBJECT as HEARTBEAT_SUBJECT, UnreadableHeartbeat,
};
use crate::message::PurgeMessage;
pub use crate::message::PurgeMode;
use crate::position::Position;
use crate::tag::Tag;

/// The stream's name.
pub const STREAM: &str = "PURGES";
/// What the stream takes.
pub const SUBJECTS: &str = "purge.>";
/// Where purges of tags are published.
pub const SUBJECT: &str = "purge.tags";

/// How long a purge stays on the log: the longest lifetime of an entry (one hour fresh, one hour stale) and
/// ten minutes. A gateway that was away longer forgets what it holds.
const AGE_MAX: Duration = Duration::from_secs(2 * 3_600 + 600);
/// A second copy of an event within this time is dropped by the server.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
const BYTES_MAX: i64 = 512 << 20;

/// Creates the stream, or brings it to these settings.
///
/// No setting names a sync interval: that is the server's, and servers before 2.10 refuse to hear of it.
///
/// # Errors
/// When the server refuses or does not answer.
pub async fn declare(js: &Context, replicas: usize) -> Result<(), CreateStreamError> {
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age: AGE_MAX,
        max_bytes: BYTES_MAX,
        duplicate_window: DUPLICATE_WINDOW,
        num_replicas: replicas,
        ..Config::default()
    };
    js.create_or_update_stream(config).await?;
    Ok(())
}

/// What became stale by one committed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// The event's id in its outbox: copies of one event carry the same one and count once.
    pub event_id: Uuid,
    /// The source's log position of the commit; 0 when unknown.
    pub commit_lsn: u64,
    /// When it was committed, in milliseconds since 1970; for measurements only.
    pub commit_ms: u64,
    /// Everything that became stale.
    pub tags: Vec<Tag>,
    /// How entries end.
    pub mode: PurgeMode,
}

/// A purge that is not known to be on the log. It may be: publishing it again is safe.
#[derive(Debug, thiserror::Error)]
#[error("publish a purge")]
pub struct UnknownFate(#[from] PublishError);

/// A purge that is on the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) position: Position,
    pub(crate) turn: Turn,
}

/// Whether somebody else had published the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    Later,
}

/// Publishes to the log. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct PurgeLog {
    js: Context,
}

impl PurgeLog {
    /// `ack_deadline` bounds the wait for each acknowledgement.
    pub fn new(nats: async_nats::Client, ack_deadline: Duration) -> Self {
        let mut js = jetstream::new(nats);
        js.set_timeout(ack_deadline);
        Self { js }
    }

    /// Puts the purge on the log and tells its position, the last one if it took several messages.
    ///
    /// Message ids are `{event id}:{chunk}`: whoever publishes the same event again within two minutes gets
    /// the position of the first copy. Without tags nothing is published and the position is the epoch's
    /// start.
    ///
    /// # Errors
    /// When an acknowledgement did not come in time; the messages may be on the log nevertheless.
    pub async fn publish(&self, epoch: u16, purge: &Purge) -> Result<Position, UnknownFate> {
        Ok(self.publish_once(epoch, purge).await?.position)
    }

    pub(crate) async fn publish_once(&self, epoch: u16, purge: &Purge) -> Result<Published, UnknownFate> {
        let mut acks = Vec::with_capacity(purge.tags.len().div_ceil(PurgeMessage::TAGS_MAX));
        for (chunk, tags) in purge.tags.chunks(PurgeMessage::TAGS_MAX).enumerate() {
            let message = PurgeMessage {
                epoch,
                event_id: purge.event_id,
                commit_lsn: purge.commit_lsn,
                commit_ms: purge.commit_ms,
                tags: tags.iter().map(|&tag| (tag, purge.mode)).collect(),
            };
            let publish = PublishMessage::build()
                .message_id(format!("{}:{chunk}", purge.event_id))
                .expected_stream(STREAM)
                .payload(message.encode().into());
            acks.push(self.js.send_publish(SUBJECT, publish).await?.into_future());
        }
        let acks = try_join_all(acks).await?;
        let last = acks.iter().map(|ack| ack.sequence).max().unwrap_or(0);
        let turn = if acks.iter().any(|ack| ack.duplicate) { Turn::Later } else { Turn::First };
        Ok(Published { position: Position::new(epoch, last), turn })
    }
}
