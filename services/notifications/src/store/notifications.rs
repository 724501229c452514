//! Notifications of a feed.

use rls::Tx;
use time::OffsetDateTime;

use crate::domain::message::Words;
use crate::domain::page::{Page, Which};

rls::statements! {
    /// A page of the caller's notifications, latest first.
    PAGE = "SELECT id, seq, kind, title, body, link, read_at, created_at
              FROM notifications
             WHERE user_id = $1::bigint
             ORDER BY seq DESC
             LIMIT $2::bigint OFFSET $3::bigint";
    /// The same, unread ones only.
    PAGE_UNREAD = "SELECT id, seq, kind, title, body, link, read_at, created_at
                     FROM notifications
                    WHERE user_id = $1::bigint AND read_at IS NULL
                    ORDER BY seq DESC
                    LIMIT $2::bigint OFFSET $3::bigint";
    /// What came after a position, in order.
    AFTER = "SELECT id, seq, kind, title, body, link, read_at, created_at
               FROM notifications
              WHERE user_id = $1::bigint AND seq > $2::bigint
              ORDER BY seq
              LIMIT $3::bigint";
    /// One notification.
    NOTIFICATION = "SELECT id, seq, kind, title, body, link, read_at, created_at FROM notifications WHERE id = $1::bigint";
    /// Reads one that is unread.
    READ = "UPDATE notifications SET read_at = now()
             WHERE id = $1::bigint AND read_at IS NULL
         RETURNING id, seq, kind, title, body, link, read_at, created_at";
    /// Makes one unread that was read.
    UNREAD = "UPDATE notifications SET read_at = NULL
               WHERE id = $1::bigint AND read_at IS NOT NULL
           RETURNING id, seq, kind, title, body, link, read_at, created_at";
    /// Reads all that are unread.
    READ_ALL = "UPDATE notifications SET read_at = now() WHERE user_id = $1::bigint AND read_at IS NULL RETURNING id";
    /// Removes one, and says whether it was unread.
    DELETE = "DELETE FROM notifications WHERE id = $1::bigint RETURNING read_at IS NULL";
    /// Whether the user was told this already.
    TOLD = "SELECT EXISTS (SELECT FROM notifications WHERE user_id = $1::bigint AND dedupe_key = $2::text)";
    /// Tells the user.
    TELL = "INSERT INTO notifications (user_id, seq, kind, title, body, link, dedupe_key)
            VALUES ($1::bigint, $2::bigint, $3::text, $4::text, $5::text, $6::text, $7::text)
         RETURNING id";
    /// Removes what a feed keeps too much: read ones before unread ones, old ones before new ones.
    TRIM = "DELETE FROM notifications
             WHERE id IN (SELECT id FROM notifications
                           WHERE user_id = $1::bigint
                           ORDER BY read_at IS NULL, seq
                           LIMIT $2::bigint)
         RETURNING id, read_at IS NULL";
    /// Everything of a user, as their export shows it.
    EXPORT = "SELECT id, seq, kind, title, body, link, read_at, created_at
                FROM notifications
               WHERE user_id = $1::bigint
               ORDER BY seq
               LIMIT $2::bigint";
}

/// A notification as its reader sees it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Notification {
    pub(crate) id: i64,
    pub(crate) seq: i64,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) link: Option<String>,
    pub(crate) read_at: Option<OffsetDateTime>,
    pub(crate) created_at: OffsetDateTime,
}

/// A page of the feed, latest first.
pub(crate) async fn page(
    tx: &mut Tx,
    user_id: i64,
    which: Which,
    page: Page,
) -> Result<Vec<Notification>, sqlx::Error> {
    let (sql, name) = match which {
        Which::All => (PAGE, "SELECT notifications"),
        Which::Unread => (PAGE_UNREAD, "SELECT notifications unread"),
    };
    sqlx::query_as(sql)
        .bind(user_id)
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(&mut *tx.statement(name))
        .await
}

/// Up to `limit` notifications after position `seq`, in order.
pub(crate) async fn after(
    tx: &mut Tx,
    user_id: i64,
    seq: i64,
    limit: i64,
) -> Result<Vec<Notification>, sqlx::Error> {
    sqlx::query_as(AFTER)
        .bind(user_id)
        .bind(seq)
        .bind(limit)
        .fetch_all(&mut *tx.statement("SELECT notifications after"))
        .await
}

/// One notification, if the caller may see it.
pub(crate) async fn notification(tx: &mut Tx, id: i64) -> Result<Option<Notification>, sqlx::Error> {
    sqlx::query_as(NOTIFICATION)
        .bind(id)
        .fetch_optional(&mut *tx.statement("SELECT notifications by id"))
        .await
}

/// Marks an unread one as read; none when there is none such.
pub(crate) async fn read(tx: &mut Tx, id: i64) -> Result<Option<Notification>, sqlx::Error> {
    sqlx::query_as(READ).bind(id).fetch_optional(&mut *tx.statement("UPDATE notifications read")).await
}

/// Marks a read one as unread; none when there is none such.
pub(crate) async fn unread(tx: &mut Tx, id: i64) -> Result<Option<Notification>, sqlx::Error> {
    sqlx::query_as(UNREAD).bind(id).fetch_optional(&mut *tx.statement("UPDATE notifications unread")).await
}

/// Marks all as read and answers which were not.
pub(crate) async fn read_all(tx: &mut Tx, user_id: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(READ_ALL)
        .bind(user_id)
        .fetch_all(&mut *tx.statement("UPDATE notifications read all"))
        .await
}

/// Removes one and answers whether it was unread; none when there is none such.
pub(crate) async fn delete(tx: &mut Tx, id: i64) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar(DELETE).bind(id).fetch_optional(&mut *tx.statement("DELETE notifications")).await
}

/// Whether the feed has a notification for `dedupe_key`.
pub(crate) async fn told(tx: &mut Tx, user_id: i64, dedupe_key: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(TOLD)
        .bind(user_id)
        .bind(dedupe_key)
        .fetch_one(&mut *tx.statement("SELECT notifications by dedupe key"))
        .await
}

/// Adds a notification at position `seq` and answers its id.
pub(crate) async fn tell(
    tx: &mut Tx,
    user_id: i64,
    seq: i64,
    kind: &str,
    words: &Words,
    dedupe_key: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(TELL)
        .bind(user_id)
        .bind(seq)
        .bind(kind)
        .bind(&words.title)
        .bind(&words.body)
        .bind(&words.link)
        .bind(dedupe_key)
        .fetch_one(&mut *tx.statement("INSERT notifications"))
        .await
}

/// Removes `count` of them, those that matter least, and answers which, and whether each was unread.
pub(crate) async fn trim(tx: &mut Tx, user_id: i64, count: i64) -> Result<Vec<(i64, bool)>, sqlx::Error> {
    sqlx::query_as(TRIM)
        .bind(user_id)
        .bind(count)
        .fetch_all(&mut *tx.statement("DELETE notifications trim"))
        .await
}

/// Everything that is kept of the user's, up to `limit`.
pub(crate) async fn export(tx: &mut Tx, user_id: i64, limit: i64) -> Result<Vec<Notification>, sqlx::Error> {
    sqlx::query_as(EXPORT)
        .bind(user_id)
        .bind(limit)
        .fetch_all(&mut *tx.statement("SELECT notifications export"))
        .await
}
