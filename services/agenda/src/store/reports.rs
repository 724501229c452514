//! Cupping reports that the caller sent or received.

use rls::{Tx, UserId};
use time::OffsetDateTime;

use crate::domain::page::Page;
use crate::domain::report::{ReportFields, Role};
use crate::domain::{EventId, ProductId, ReceiverId, ReportId};

/// Reports with what the caller is to each, who has one row per report in `report_participants`.
macro_rules! reports {
    ($mine:literal, $rest:literal) => {
        concat!(
            "SELECT r.id, mine.role, r.sender_id, r.receiver_id, r.event_id, r.product_id, r.title, r.scores,
                    r.total_tenths, r.notes, r.version, r.created_at
               FROM ",
            $mine,
            " mine
               JOIN reports r ON r.id = mine.report_id ",
            $rest
        )
    };
}

rls::statements! {
    /// A page of the reports, latest first. The page is cut before reports are looked at: the planner would
    /// rather read them all through than look each of a user's thousands up.
    LIST_REPORTS = reports!(
        "(SELECT report_id, role, created_at FROM report_participants
           WHERE ($1::text IS NULL OR role = $1)
           ORDER BY created_at DESC, report_id DESC
           LIMIT $2 OFFSET $3)",
        "ORDER BY mine.created_at DESC, mine.report_id DESC");

    /// How many reports such a list has.
    COUNT_REPORTS =
        "SELECT count(*) FROM report_participants mine
          WHERE ($1::text IS NULL OR mine.role = $1)";

    /// One report.
    GET_REPORT = reports!("report_participants", "WHERE mine.report_id = $1");

    /// One report of the caller's own, to be changed: the policy lets senders lock, not receivers.
    LOCK_REPORT =
        "SELECT sender_id, receiver_id, event_id, product_id, title, scores, notes, version
           FROM reports WHERE id = $1 FOR UPDATE";

    /// A new report. A trigger puts it into both users' lists.
    INSERT_REPORT =
        "INSERT INTO reports (sender_id, receiver_id, event_id, product_id, title, scores, notes, created_at,
                              updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         RETURNING id, version";

    /// Every field of a report that its sender writes.
    UPDATE_REPORT =
        "UPDATE reports
            SET event_id = $2, product_id = $3, title = $4, scores = $5, notes = $6, updated_at = $7,
                version = version + 1
          WHERE id = $1
         RETURNING version";

    /// A report taken out of both users' lists.
    DELETE_REPORT = "DELETE FROM reports WHERE id = $1";
}

/// A report as readers see it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct ReportRow {
    pub(crate) id: i64,
    pub(crate) role: String,
    pub(crate) sender_id: Option<i64>,
    pub(crate) receiver_id: Option<i64>,
    pub(crate) event_id: Option<i64>,
    pub(crate) product_id: Option<i64>,
    pub(crate) title: String,
    pub(crate) scores: Vec<i16>,
    pub(crate) total_tenths: i32,
    pub(crate) notes: Option<String>,
    pub(crate) version: i64,
    pub(crate) created_at: OffsetDateTime,
}

/// A report as it stands before a change, locked.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct LockedReport {
    pub(crate) sender_id: i64,
    /// `None` once that account was erased.
    pub(crate) receiver_id: Option<i64>,
    pub(crate) event_id: Option<i64>,
    pub(crate) product_id: Option<i64>,
    pub(crate) title: String,
    pub(crate) scores: Vec<i16>,
    pub(crate) notes: Option<String>,
    pub(crate) version: i64,
}

impl LockedReport {
    /// Whether writing these fields would change nothing.
    pub(crate) fn is(&self, fields: &ReportFields) -> bool {
        self.title == fields.title
            && self.scores == fields.scores.as_slice()
            && self.notes == fields.notes
            && self.event_id == fields.event.map(EventId::get)
            && self.product_id == fields.product.map(ProductId::get)
    }
}

/// A page of the caller's reports.
pub(crate) async fn reports(
    tx: &mut Tx,
    role: Option<Role>,
    page: Page,
) -> Result<Vec<ReportRow>, sqlx::Error> {
    sqlx::query_as(LIST_REPORTS)
        .bind(role.map(Role::as_str))
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(&mut *tx.statement("SELECT reports"))
        .await
}

/// How many reports the caller has in that role.
pub(crate) async fn count(tx: &mut Tx, role: Option<Role>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_REPORTS)
        .bind(role.map(Role::as_str))
        .fetch_one(&mut *tx.statement("SELECT count of reports"))
        .await
}

/// One report.
pub(crate) async fn report(tx: &mut Tx, id: ReportId) -> Result<Option<ReportRow>, sqlx::Error> {
    sqlx::query_as(GET_REPORT).bind(id.get()).fetch_optional(&mut *tx.statement("SELECT report")).await
}

/// One report that the caller sent, locked.
pub(crate) async fn lock(tx: &mut Tx, id: ReportId) -> Result<Option<LockedReport>, sqlx::Error> {
    sqlx::query_as(LOCK_REPORT)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT report FOR UPDATE"))
        .await
}

/// Makes a report; answers its id and version.
pub(crate) async fn insert(
    tx: &mut Tx,
    sender: UserId,
    receiver: ReceiverId,
    fields: &ReportFields,
    now: OffsetDateTime,
) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(INSERT_REPORT)
        .bind(sender.0)
        .bind(receiver.get())
        .bind(fields.event.map(EventId::get))
        .bind(fields.product.map(ProductId::get))
        .bind(&fields.title)
        .bind(fields.scores.as_slice())
        .bind(&fields.notes)
        .bind(now)
        .fetch_one(&mut *tx.statement("INSERT reports"))
        .await
}

/// Writes every field of a locked report and counts its version up; answers the new one.
pub(crate) async fn update(
    tx: &mut Tx,
    id: ReportId,
    fields: &ReportFields,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(UPDATE_REPORT)
        .bind(id.get())
        .bind(fields.event.map(EventId::get))
        .bind(fields.product.map(ProductId::get))
        .bind(&fields.title)
        .bind(fields.scores.as_slice())
        .bind(&fields.notes)
        .bind(now)
        .fetch_one(&mut *tx.statement("UPDATE reports"))
        .await
}

/// Takes a locked report out.
pub(crate) async fn delete(tx: &mut Tx, id: ReportId) -> Result<(), sqlx::Error> {
    sqlx::query(DELETE_REPORT).bind(id.get()).execute(&mut *tx.statement("DELETE reports")).await.map(drop)
}
