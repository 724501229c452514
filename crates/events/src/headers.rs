//! The headers of a message on `MC_MUTATIONS`, and of one on `MC_DLQ`.

/// The aggregate's version, decimal.
pub(crate) const AGGREGATE_VERSION: &str = "mc-aggregate-version";
/// One stale tag; repeated.
pub(crate) const TAG: &str = "mc-tag";
/// How many tags there are, decimal: tells "nothing is stale" from a message that lost its tags.
pub(crate) const TAGS: &str = "mc-tags";
/// A write-ahead log position at or after the event's commit, decimal.
pub(crate) const COMMIT_LSN: &str = "mc-commit-lsn";
/// Why a message was given up; on `MC_DLQ` only.
pub(crate) const DEAD_REASON: &str = "mc-dead-reason";
/// Who gave it up.
pub(crate) const DEAD_CONSUMER: &str = "mc-dead-consumer";
/// Where it was in its own stream, decimal.
pub(crate) const DEAD_SEQUENCE: &str = "mc-dead-sequence";
/// The subject it had there.
pub(crate) const DEAD_SUBJECT: &str = "mc-dead-subject";
/// How often it was tried, decimal.
pub(crate) const DEAD_ATTEMPTS: &str = "mc-dead-attempts";
/// The event's id, of a message that has an id of its own because it is delivered once more by hand.
pub(crate) const EVENT_ID: &str = "mc-event-id";
/// The only consumer that is to handle such a message.
pub(crate) const ONLY_FOR: &str = "mc-only-for";
