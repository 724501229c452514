//! Feeds: who was told how much, and whose turn it is to change that.

use rls::Tx;

rls::statements! {
    /// A feed for whoever has none yet.
    OPEN_FEED = "INSERT INTO feeds (user_id) VALUES ($1) ON CONFLICT (user_id) DO NOTHING";
    /// One user's feed, which nobody else changes until the transaction ends.
    LOCK_FEED = "SELECT user_id, last_seq, kept, unread, version, prefs_version, locale, erased_at IS NOT NULL AS erased
                   FROM feeds
                  WHERE user_id = $1
                    FOR UPDATE";
    /// One user's feed as it is.
    FEED = "SELECT user_id, last_seq, kept, unread, version, prefs_version, locale, erased_at IS NOT NULL AS erased
              FROM feeds
             WHERE user_id = $1";
    /// Latest positions of several feeds, for those who follow them.
    POSITIONS = "SELECT user_id, last_seq FROM feeds WHERE user_id = ANY ($1::bigint[])";
    /// The feed after a change, locked before.
    SAVE_FEED = "UPDATE feeds
                    SET last_seq = $2::bigint, kept = $3::integer, unread = $4::integer, version = $5::bigint,
                        prefs_version = $6::bigint
                  WHERE user_id = $1::bigint";
    /// What language the user reads.
    SAVE_LOCALE = "UPDATE feeds SET locale = $2::text WHERE user_id = $1::bigint AND locale <> $2::text";
    /// Feeds that keep too much.
    OVERFULL = "SELECT user_id FROM feeds WHERE kept > 1000 ORDER BY kept DESC LIMIT $1::bigint";
}

/// A user's feed.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Feed {
    pub(crate) user_id: i64,
    pub(crate) last_seq: i64,
    pub(crate) kept: i32,
    pub(crate) unread: i32,
    pub(crate) version: i64,
    pub(crate) prefs_version: i64,
    pub(crate) locale: String,
    pub(crate) erased: bool,
}

/// Makes sure that there is a feed to lock.
pub(crate) async fn open(tx: &mut Tx, user_id: i64) -> Result<(), sqlx::Error> {
    sqlx::query(OPEN_FEED).bind(user_id).execute(&mut *tx.statement("INSERT feeds")).await.map(drop)
}

/// The feed, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, user_id: i64) -> Result<Option<Feed>, sqlx::Error> {
    sqlx::query_as(LOCK_FEED).bind(user_id).fetch_optional(&mut *tx.statement("LOCK feeds")).await
}

/// The feed as it is.
pub(crate) async fn feed(tx: &mut Tx, user_id: i64) -> Result<Option<Feed>, sqlx::Error> {
    sqlx::query_as(FEED).bind(user_id).fetch_optional(&mut *tx.statement("SELECT feeds")).await
}

/// The latest position of each of these users who has a feed.
pub(crate) async fn positions(tx: &mut Tx, user_ids: &[i64]) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    sqlx::query_as(POSITIONS).bind(user_ids).fetch_all(&mut *tx.statement("SELECT feeds positions")).await
}

/// Writes a feed that this transaction has locked.
pub(crate) async fn save(tx: &mut Tx, feed: &Feed) -> Result<(), sqlx::Error> {
    sqlx::query(SAVE_FEED)
        .bind(feed.user_id)
        .bind(feed.last_seq)
        .bind(feed.kept)
        .bind(feed.unread)
        .bind(feed.version)
        .bind(feed.prefs_version)
        .execute(&mut *tx.statement("UPDATE feeds"))
        .await
        .map(drop)
}

/// Remembers what language the user reads.
pub(crate) async fn save_locale(tx: &mut Tx, user_id: i64, locale: &str) -> Result<(), sqlx::Error> {
    sqlx::query(SAVE_LOCALE)
        .bind(user_id)
        .bind(locale)
        .execute(&mut *tx.statement("UPDATE feeds locale"))
        .await
        .map(drop)
}

/// Up to `limit` users whose feeds keep too much, the fullest first.
pub(crate) async fn overfull(tx: &mut Tx, limit: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(OVERFULL).bind(limit).fetch_all(&mut *tx.statement("SELECT feeds overfull")).await
}
