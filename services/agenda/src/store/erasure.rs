//! What goes with an account. Run as the service, in batches: whoever erases has no agenda.

use rls::Tx;
use time::OffsetDateTime;

rls::statements! {
    /// Some events of an account.
    ERASE_EVENTS =
        "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE user_id = $1 ORDER BY id LIMIT $2)";

    /// Some professionals of an account whose events are gone.
    ERASE_PROFESSIONALS =
        "DELETE FROM professionals
          WHERE id IN (SELECT id FROM professionals WHERE user_id = $1 ORDER BY id LIMIT $2)";

    /// Some reports that an account sent or received.
    REPORTS_OF_ACCOUNT =
        "SELECT r.id, r.sender_id, r.receiver_id, r.version
           FROM report_participants party
           JOIN reports r ON r.id = party.report_id
          WHERE party.user_id = $1
          ORDER BY r.id
          LIMIT $2
            FOR UPDATE OF r";

    /// A report without one of its two; the sender's event goes with the sender.
    FORGET_PARTY =
        "UPDATE reports
            SET event_id    = CASE WHEN sender_id = $2 THEN NULL ELSE event_id END,
                sender_id   = nullif(sender_id, $2),
                receiver_id = nullif(receiver_id, $2),
                updated_at  = $3, version = version + 1
          WHERE id = $1
         RETURNING version";

    /// A report that nobody is left to read.
    ERASE_REPORT = "DELETE FROM reports WHERE id = $1";
}

/// A report of an account that is being erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct PartyReport {
    pub(crate) id: i64,
    pub(crate) sender_id: Option<i64>,
    pub(crate) receiver_id: Option<i64>,
    pub(crate) version: i64,
}

/// Deletes up to `limit` events of the account; answers how many.
pub(crate) async fn events(tx: &mut Tx, user_id: i64, limit: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(ERASE_EVENTS)
        .bind(user_id)
        .bind(limit)
        .execute(&mut *tx.statement("DELETE events of account"))
        .await?;
    Ok(deleted.rows_affected())
}

/// Deletes up to `limit` professionals of the account; answers how many.
pub(crate) async fn professionals(tx: &mut Tx, user_id: i64, limit: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(ERASE_PROFESSIONALS)
        .bind(user_id)
        .bind(limit)
        .execute(&mut *tx.statement("DELETE professionals of account"))
        .await?;
    Ok(deleted.rows_affected())
}

/// Up to `limit` reports that the account is part of, locked.
pub(crate) async fn reports(tx: &mut Tx, user_id: i64, limit: i64) -> Result<Vec<PartyReport>, sqlx::Error> {
    sqlx::query_as(REPORTS_OF_ACCOUNT)
        .bind(user_id)
        .bind(limit)
        .fetch_all(&mut *tx.statement("SELECT reports of account"))
        .await
}

/// Takes the account out of a locked report; answers the report's new version.
pub(crate) async fn forget_party(
    tx: &mut Tx,
    report_id: i64,
    user_id: i64,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(FORGET_PARTY)
        .bind(report_id)
        .bind(user_id)
        .bind(now)
        .fetch_one(&mut *tx.statement("UPDATE reports of account"))
        .await
}

/// Deletes a locked report.
pub(crate) async fn report(tx: &mut Tx, report_id: i64) -> Result<(), sqlx::Error> {
    sqlx::query(ERASE_REPORT)
        .bind(report_id)
        .execute(&mut *tx.statement("DELETE reports of account"))
        .await
        .map(drop)
}
