//! The streams of the product, declared in one place.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::CreateStreamError;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use crate::outbox::MESSAGE_BYTES_MAX;

/// Every mutation event, on subjects `mc.>`.
pub const MUTATIONS: &str = "MC_MUTATIONS";
/// Messages that a consumer gave up, on subjects `dlq.<consumer>.<subject>`.
pub const DEAD_LETTERS: &str = "MC_DLQ";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes the streams, or brings them to this configuration. `replicas`: 1 on one machine, 3 in a cluster.
///
/// How often the server writes to disk (`sync_interval`) is a setting of the server, not of a stream.
///
/// # Errors
/// When NATS is away or refuses.
pub async fn declare(jetstream: &Context, replicas: usize) -> Result<(), CreateStreamError> {
    for config in [mutations(replicas), dead_letters(replicas)] {
        jetstream.create_or_update_stream(config).await?;
    }
    Ok(())
}

fn mutations(replicas: usize) -> Config {
    Config {
        name: MUTATIONS.to_owned(),
        description: Some("mutation events of every service".to_owned()),
        subjects: vec!["mc.>".to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age: 7 * DAY,
        max_message_size: i32::try_from(MESSAGE_BYTES_MAX).expect("64 KiB"),
        // A row published again within this window is dropped by its id.
        duplicate_window: Duration::from_secs(10 * 60),
        num_replicas: replicas,
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    }
}

fn dead_letters(replicas: usize) -> Config {
    Config {
        name: DEAD_LETTERS.to_owned(),
        description: Some("messages that a consumer gave up".to_owned()),
        subjects: vec!["dlq.>".to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age: 30 * DAY,
        max_bytes: 256 << 20,
        duplicate_window: Duration::from_secs(10 * 60),
        num_replicas: replicas,
        ..Config::default()
    }
}
