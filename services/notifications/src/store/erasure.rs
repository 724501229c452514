//! Making a user unknown.

use rls::Tx;

rls::statements! {
    /// Everything that the user was told.
    ERASE_NOTIFICATIONS = "DELETE FROM notifications WHERE user_id = $1::bigint RETURNING id";
    /// Everything that the user wished.
    ERASE_PREFERENCES = "DELETE FROM preferences WHERE user_id = $1::bigint";
    /// Every mail but the last one, on its way to say that all is gone.
    ERASE_EMAILS = "DELETE FROM emails
                     WHERE user_id = $1::bigint
                       AND NOT (template = 'account_erased' AND status IN ('queued', 'sending', 'failed'))";
    /// The last mail no longer knows whom it is about.
    DETACH_EMAILS = "UPDATE emails SET user_id = NULL WHERE user_id = $1::bigint";
    /// The feed stays as a mark that there is nobody to tell.
    ERASE_FEED = "UPDATE feeds
                     SET kept = 0, unread = 0, locale = 'pt-BR', erased_at = now(), version = version + 1,
                         prefs_version = prefs_version + 1
                   WHERE user_id = $1::bigint
               RETURNING version, prefs_version";
}

/// Removes everything of the user, whose feed is locked, and answers the feed's two versions after it and what was
/// removed from the feed.
pub(crate) async fn erase(tx: &mut Tx, user_id: i64) -> Result<((i64, i64), Vec<i64>), sqlx::Error> {
    let notifications = sqlx::query_scalar(ERASE_NOTIFICATIONS)
        .bind(user_id)
        .fetch_all(&mut *tx.statement("DELETE notifications erase"))
        .await?;
    for (sql, name) in [
        (ERASE_PREFERENCES, "DELETE preferences erase"),
        (ERASE_EMAILS, "DELETE emails erase"),
        (DETACH_EMAILS, "UPDATE emails erase"),
    ] {
        sqlx::query(sql).bind(user_id).execute(&mut *tx.statement(name)).await?;
    }
    let versions =
        sqlx::query_as(ERASE_FEED).bind(user_id).fetch_one(&mut *tx.statement("UPDATE feeds erase")).await?;
    Ok((versions, notifications))
}
