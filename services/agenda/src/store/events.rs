//! Events of the caller's agenda.

use rls::{Tx, UserId};
use time::OffsetDateTime;

use crate::domain::event::{EventFields, Filter, Kind, Status};
use crate::domain::page::Page;
use crate::domain::{EventId, ProfessionalId};

/// An event, and who it is with: the professional as of now, or the copy of one that was deleted.
macro_rules! event {
    ($rest:literal) => {
        concat!(
            "SELECT e.id, e.title, e.kind, e.professional_id,
                    coalesce(p.name, e.professional_name)           AS professional_name,
                    coalesce(p.specialty, e.professional_specialty) AS professional_specialty,
                    e.location, e.description, e.starts_at, e.ends_at, e.status, e.version, e.created_at
               FROM events e
               LEFT JOIN professionals p ON p.user_id = e.user_id AND p.id = e.professional_id ",
            $rest
        )
    };
}

rls::statements! {
    /// A page of the events within a span of time, latest start first.
    LIST_EVENTS = event!(
        "WHERE ($1::timestamptz IS NULL OR e.ends_at > $1) AND ($2::timestamptz IS NULL OR e.starts_at < $2)
           AND ($3::text IS NULL OR e.kind = $3) AND ($4::text IS NULL OR e.status = $4)
         ORDER BY e.starts_at DESC, e.id DESC
         LIMIT $5 OFFSET $6");

    /// How many events such a list has.
    COUNT_EVENTS =
        "SELECT count(*) FROM events e
          WHERE ($1::timestamptz IS NULL OR e.ends_at > $1) AND ($2::timestamptz IS NULL OR e.starts_at < $2)
            AND ($3::text IS NULL OR e.kind = $3) AND ($4::text IS NULL OR e.status = $4)";

    /// One event.
    GET_EVENT = event!("WHERE e.id = $1");

    /// One event, to be changed.
    LOCK_EVENT = event!("WHERE e.id = $1 FOR UPDATE OF e");

    /// A new event.
    INSERT_EVENT =
        "INSERT INTO events (user_id, title, kind, professional_id, location, description, starts_at, ends_at,
                             status, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
         RETURNING id, version";

    /// Every field of an event. Without a professional the copy of a deleted one stays.
    UPDATE_EVENT =
        "UPDATE events
            SET title = $2, kind = $3, professional_id = $4, location = $5, description = $6, starts_at = $7,
                ends_at = $8, status = $9, updated_at = $10, version = version + 1,
                professional_name      = CASE WHEN $4::bigint IS NULL THEN professional_name END,
                professional_specialty = CASE WHEN $4::bigint IS NULL THEN professional_specialty END
          WHERE id = $1
         RETURNING version";

    /// An event taken out.
    DELETE_EVENT = "DELETE FROM events WHERE id = $1";
}

/// An event as readers see it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct EventRow {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) kind: String,
    /// `None` without a professional, and once the professional is deleted.
    pub(crate) professional_id: Option<i64>,
    pub(crate) professional_name: Option<String>,
    pub(crate) professional_specialty: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) starts_at: OffsetDateTime,
    pub(crate) ends_at: OffsetDateTime,
    pub(crate) status: String,
    pub(crate) version: i64,
    pub(crate) created_at: OffsetDateTime,
}

impl EventRow {
    /// Whether writing these fields would change nothing.
    pub(crate) fn is(&self, fields: &EventFields) -> bool {
        self.title == fields.title
            && self.kind == fields.kind.as_str()
            && self.professional_id == fields.professional.map(ProfessionalId::get)
            && self.location == fields.location
            && self.description == fields.description
            && self.starts_at == fields.span.starts_at()
            && self.ends_at == fields.span.ends_at()
            && self.status == fields.status.as_str()
    }
}

/// A page of the caller's events.
pub(crate) async fn events(tx: &mut Tx, filter: &Filter, page: Page) -> Result<Vec<EventRow>, sqlx::Error> {
    sqlx::query_as(LIST_EVENTS)
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.kind.map(Kind::as_str))
        .bind(filter.status.map(Status::as_str))
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(&mut *tx.statement("SELECT events"))
        .await
}

/// How many events of the caller's the filter lets through.
pub(crate) async fn count(tx: &mut Tx, filter: &Filter) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_EVENTS)
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.kind.map(Kind::as_str))
        .bind(filter.status.map(Status::as_str))
        .fetch_one(&mut *tx.statement("SELECT count of events"))
        .await
}

/// One event.
pub(crate) async fn event(tx: &mut Tx, id: EventId) -> Result<Option<EventRow>, sqlx::Error> {
    sqlx::query_as(GET_EVENT).bind(id.get()).fetch_optional(&mut *tx.statement("SELECT event")).await
}

/// One event, locked.
pub(crate) async fn lock(tx: &mut Tx, id: EventId) -> Result<Option<EventRow>, sqlx::Error> {
    sqlx::query_as(LOCK_EVENT)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT event FOR UPDATE"))
        .await
}

/// Makes an event; answers its id and version.
pub(crate) async fn insert(
    tx: &mut Tx,
    owner: UserId,
    fields: &EventFields,
    now: OffsetDateTime,
) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(INSERT_EVENT)
        .bind(owner.0)
        .bind(&fields.title)
        .bind(fields.kind.as_str())
        .bind(fields.professional.map(ProfessionalId::get))
        .bind(&fields.location)
        .bind(&fields.description)
        .bind(fields.span.starts_at())
        .bind(fields.span.ends_at())
        .bind(fields.status.as_str())
        .bind(now)
        .fetch_one(&mut *tx.statement("INSERT events"))
        .await
}

/// Writes every field of a locked event and counts its version up; answers the new one.
pub(crate) async fn update(
    tx: &mut Tx,
    id: EventId,
    fields: &EventFields,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(UPDATE_EVENT)
        .bind(id.get())
        .bind(&fields.title)
        .bind(fields.kind.as_str())
        .bind(fields.professional.map(ProfessionalId::get))
        .bind(&fields.location)
        .bind(&fields.description)
        .bind(fields.span.starts_at())
        .bind(fields.span.ends_at())
        .bind(fields.status.as_str())
        .bind(now)
        .fetch_one(&mut *tx.statement("UPDATE events"))
        .await
}

/// Takes a locked event out.
pub(crate) async fn delete(tx: &mut Tx, id: EventId) -> Result<(), sqlx::Error> {
    sqlx::query(DELETE_EVENT).bind(id.get()).execute(&mut *tx.statement("DELETE events")).await.map(drop)
}
