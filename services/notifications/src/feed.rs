//! How a feed changes: the rows, the counters and the fact, in one transaction under the feed's lock.

use events::{Event, Fact};
use proto::events::v1::{NotificationFact, PreferencesChanged};
use rls::Tx;
use time::OffsetDateTime;

use crate::domain::kind::Kind;
use crate::domain::message::Words;
use crate::domain::preferences::Preferences;
use crate::error::Error;
use crate::store::feeds::Feed;
use crate::store::notifications::Notification;
use crate::store::{feeds, notifications, preferences};

/// A feed keeps so many notifications; what is more goes with the next sweep.
pub(crate) const KEPT_MAX: i32 = 1_000;
/// A fact names so many notifications at most; whoever hears it asks for the rest.
const IDS_MAX: usize = 500;

/// What a marked notification is afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Read,
    Unread,
}

/// Adds a notification to the feed, unless one of the same key is there.
pub(crate) async fn tell(
    tx: &mut Tx,
    now: OffsetDateTime,
    feed: &mut Feed,
    kind: Kind,
    words: &Words,
    dedupe_key: &str,
) -> Result<(), Error> {
    if notifications::told(tx, feed.user_id, dedupe_key).await? {
        return Ok(());
    }
    feed.last_seq += 1;
    feed.kept += 1;
    feed.unread += 1;
    let id = notifications::tell(tx, feed.user_id, feed.last_seq, kind.as_str(), words, dedupe_key).await?;
    let seq = feed.last_seq.unsigned_abs();
    save(tx, now, feed, vec![id], |fact| Fact::NotificationCreated(NotificationFact { seq, ..fact })).await
}

/// Marks one notification and answers it; one that is so already stays as it is, and nothing is said.
pub(crate) async fn mark(
    tx: &mut Tx,
    now: OffsetDateTime,
    feed: &mut Feed,
    id: i64,
    mark: Mark,
) -> Result<Notification, Error> {
    let (marked, difference) = match mark {
        Mark::Read => (notifications::read(tx, id).await?, -1),
        Mark::Unread => (notifications::unread(tx, id).await?, 1),
    };
    let Some(marked) = marked else {
        return notifications::notification(tx, id).await?.ok_or(Error::NotFound);
    };
    feed.unread += difference;
    save(tx, now, feed, vec![id], Fact::NotificationRead).await?;
    Ok(marked)
}

/// Marks all as read and answers how many were not.
pub(crate) async fn mark_all(tx: &mut Tx, now: OffsetDateTime, feed: &mut Feed) -> Result<usize, Error> {
    let marked = notifications::read_all(tx, feed.user_id).await?;
    let count = marked.len();
    if count > 0 {
        feed.unread = 0;
        save(tx, now, feed, marked, Fact::NotificationRead).await?;
    }
    Ok(count)
}

/// Removes one notification.
pub(crate) async fn delete(tx: &mut Tx, now: OffsetDateTime, feed: &mut Feed, id: i64) -> Result<(), Error> {
    let was_unread = notifications::delete(tx, id).await?.ok_or(Error::NotFound)?;
    feed.kept -= 1;
    feed.unread -= i32::from(was_unread);
    save(tx, now, feed, vec![id], Fact::NotificationDeleted).await
}

/// Removes what the feed keeps too much, at most as many as one fact names, and answers how many.
pub(crate) async fn trim(tx: &mut Tx, now: OffsetDateTime, feed: &mut Feed) -> Result<usize, Error> {
    let excess = (feed.kept - KEPT_MAX).clamp(0, IDS_MAX as i32);
    if excess == 0 {
        return Ok(0);
    }
    let removed = notifications::trim(tx, feed.user_id, i64::from(excess)).await?;
    let count = removed.len();
    feed.kept -= i32::try_from(count).expect("at most 500");
    feed.unread -=
        i32::try_from(removed.iter().filter(|(_, was_unread)| *was_unread).count()).expect("at most 500");
    let ids = removed.into_iter().map(|(id, _)| id).collect();
    save(tx, now, feed, ids, Fact::NotificationDeleted).await?;
    Ok(count)
}

/// Changes the preferences; to what they are already: nothing is said.
pub(crate) async fn prefer(
    tx: &mut Tx,
    now: OffsetDateTime,
    feed: &mut Feed,
    before: &Preferences,
    after: &Preferences,
) -> Result<(), Error> {
    if before == after {
        return Ok(());
    }
    preferences::save(tx, feed.user_id, after).await?;
    feed.prefs_version += 1;
    feeds::save(tx, feed).await?;
    record_preferences(tx, now, feed.user_id, feed.prefs_version).await
}

/// Says that the user's preferences are others now.
pub(crate) async fn record_preferences(
    tx: &mut Tx,
    now: OffsetDateTime,
    user_id: i64,
    prefs_version: i64,
) -> Result<(), Error> {
    let fact = Fact::PreferencesChanged(PreferencesChanged { user_id });
    let event = Event::new(tx.caller(), now, prefs_version, fact);
    Ok(events::record(tx, &event).await?)
}

/// Says that notifications of a feed are gone.
pub(crate) async fn record_deleted(
    tx: &mut Tx,
    now: OffsetDateTime,
    user_id: i64,
    version: i64,
    mut ids: Vec<i64>,
) -> Result<(), Error> {
    ids.truncate(IDS_MAX);
    let fact = NotificationFact { user_id, notification_ids: ids, seq: 0, unread: 0 };
    let event = Event::new(tx.caller(), now, version, Fact::NotificationDeleted(fact));
    Ok(events::record(tx, &event).await?)
}

/// The next version of the feed, and the fact that made it.
async fn save(
    tx: &mut Tx,
    now: OffsetDateTime,
    feed: &mut Feed,
    mut ids: Vec<i64>,
    fact: impl FnOnce(NotificationFact) -> Fact,
) -> Result<(), Error> {
    feed.version += 1;
    feeds::save(tx, feed).await?;
    ids.truncate(IDS_MAX);
    let fact = fact(NotificationFact {
        user_id: feed.user_id,
        notification_ids: ids,
        seq: 0,
        unread: u64::from(feed.unread.unsigned_abs()),
    });
    let event = Event::new(tx.caller(), now, feed.version, fact);
    Ok(events::record(tx, &event).await?)
}
