//! From what is stored to what the contract says.

use prost_types::Timestamp;
use proto::notifications::v1 as pb;
use time::OffsetDateTime;

use crate::domain::preferences::Preferences;
use crate::store::notifications::Notification;

/// A notification as its reader sees it.
pub(crate) fn notification(row: Notification) -> pb::Notification {
    pb::Notification {
        id: row.id,
        seq: row.seq.unsigned_abs(),
        kind: row.kind,
        title: row.title,
        body: row.body,
        link: row.link,
        read_at: row.read_at.map(timestamp),
        created_at: Some(timestamp(row.created_at)),
    }
}

/// One preference for every kind there is.
pub(crate) fn preferences(preferences: &Preferences) -> Vec<pb::Preference> {
    preferences
        .all()
        .map(|(kind, ways)| pb::Preference {
            kind: kind.as_str().to_owned(),
            in_app: ways.in_app,
            email: ways.email,
        })
        .collect()
}

/// A moment, exactly.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    let nanos =
        i32::try_from(at.nanosecond()).expect("a second has fewer nanoseconds than 31 bits can count");
    Timestamp { seconds: at.unix_timestamp(), nanos }
}
