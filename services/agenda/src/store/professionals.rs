//! The caller's coffee masters.

use rls::{Tx, UserId};
use time::OffsetDateTime;

use crate::domain::ProfessionalId;
use crate::domain::page::Page;
use crate::domain::professional::{ProfessionalFields, Specialty};

/// A professional by any of its questions.
macro_rules! professional {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, specialty, bio, email, phone, version, created_at FROM professionals ",
            $rest
        )
    };
}

rls::statements! {
    /// A page of the professionals, by name.
    LIST_PROFESSIONALS = professional!(
        "WHERE ($1::text IS NULL OR specialty = $1) ORDER BY name, id LIMIT $2 OFFSET $3");

    /// How many professionals such a list has.
    COUNT_PROFESSIONALS =
        "SELECT count(*) FROM professionals WHERE ($1::text IS NULL OR specialty = $1)";

    /// One professional.
    GET_PROFESSIONAL = professional!("WHERE id = $1");

    /// One professional, to be changed or deleted. Nobody books who waits for this lock.
    LOCK_PROFESSIONAL = professional!("WHERE id = $1 FOR UPDATE");

    /// One professional, to be booked. Bookings of one professional queue here: two rows that an exclusion
    /// constraint compares while both are being written would wait for each other, and one would be the
    /// victim of a deadlock instead of a double booking.
    BOOK_PROFESSIONAL = "SELECT id FROM professionals WHERE id = $1 FOR NO KEY UPDATE";

    /// A new professional.
    INSERT_PROFESSIONAL =
        "INSERT INTO professionals (user_id, name, specialty, bio, email, phone, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
         RETURNING id, version";

    /// Every field of a professional.
    UPDATE_PROFESSIONAL =
        "UPDATE professionals
            SET name = $2, specialty = $3, bio = $4, email = $5, phone = $6, updated_at = $7, version = version + 1
          WHERE id = $1
         RETURNING version";

    /// A scheduled event that names a professional and is not over.
    BOOKED = "SELECT id FROM events WHERE professional_id = $1 AND status = 'scheduled' AND ends_at > $2 LIMIT 1";

    /// Past events keep who it was.
    KEEP_NAME =
        "UPDATE events e
            SET professional_id = NULL, professional_name = p.name, professional_specialty = p.specialty
           FROM professionals p
          WHERE p.id = $1 AND e.user_id = p.user_id AND e.professional_id = p.id";

    /// A professional taken out.
    DELETE_PROFESSIONAL = "DELETE FROM professionals WHERE id = $1";
}

/// A professional as readers see it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct ProfessionalRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) specialty: String,
    pub(crate) bio: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) version: i64,
    pub(crate) created_at: OffsetDateTime,
}

impl ProfessionalRow {
    /// Whether writing these fields would change nothing.
    pub(crate) fn is(&self, fields: &ProfessionalFields) -> bool {
        self.name == fields.name
            && self.specialty == fields.specialty.as_str()
            && self.bio == fields.bio
            && self.email == fields.email
            && self.phone == fields.phone
    }
}

/// A page of the caller's professionals.
pub(crate) async fn professionals(
    tx: &mut Tx,
    specialty: Option<Specialty>,
    page: Page,
) -> Result<Vec<ProfessionalRow>, sqlx::Error> {
    sqlx::query_as(LIST_PROFESSIONALS)
        .bind(specialty.map(Specialty::as_str))
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(&mut *tx.statement("SELECT professionals"))
        .await
}

/// How many professionals the caller has of that specialty.
pub(crate) async fn count(tx: &mut Tx, specialty: Option<Specialty>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_PROFESSIONALS)
        .bind(specialty.map(Specialty::as_str))
        .fetch_one(&mut *tx.statement("SELECT count of professionals"))
        .await
}

/// One professional.
pub(crate) async fn professional(
    tx: &mut Tx,
    id: ProfessionalId,
) -> Result<Option<ProfessionalRow>, sqlx::Error> {
    sqlx::query_as(GET_PROFESSIONAL)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT professional"))
        .await
}

/// One professional, locked against everything.
pub(crate) async fn lock(tx: &mut Tx, id: ProfessionalId) -> Result<Option<ProfessionalRow>, sqlx::Error> {
    sqlx::query_as(LOCK_PROFESSIONAL)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT professional FOR UPDATE"))
        .await
}

/// Whether the caller has that professional; if so, its other bookings wait for this transaction.
pub(crate) async fn book(tx: &mut Tx, id: ProfessionalId) -> Result<bool, sqlx::Error> {
    let found: Option<i64> = sqlx::query_scalar(BOOK_PROFESSIONAL)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT professional FOR NO KEY UPDATE"))
        .await?;
    Ok(found.is_some())
}

/// Makes a professional; answers its id and version.
pub(crate) async fn insert(
    tx: &mut Tx,
    owner: UserId,
    fields: &ProfessionalFields,
    now: OffsetDateTime,
) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(INSERT_PROFESSIONAL)
        .bind(owner.0)
        .bind(&fields.name)
        .bind(fields.specialty.as_str())
        .bind(&fields.bio)
        .bind(&fields.email)
        .bind(&fields.phone)
        .bind(now)
        .fetch_one(&mut *tx.statement("INSERT professionals"))
        .await
}

/// Writes every field of a locked professional and counts its version up; answers the new one.
pub(crate) async fn update(
    tx: &mut Tx,
    id: ProfessionalId,
    fields: &ProfessionalFields,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(UPDATE_PROFESSIONAL)
        .bind(id.get())
        .bind(&fields.name)
        .bind(fields.specialty.as_str())
        .bind(&fields.bio)
        .bind(&fields.email)
        .bind(&fields.phone)
        .bind(now)
        .fetch_one(&mut *tx.statement("UPDATE professionals"))
        .await
}

/// Whether a scheduled event still ahead at `now` names a locked professional.
pub(crate) async fn is_booked(
    tx: &mut Tx,
    id: ProfessionalId,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let found: Option<i64> = sqlx::query_scalar(BOOKED)
        .bind(id.get())
        .bind(now)
        .fetch_optional(&mut *tx.statement("SELECT event of professional"))
        .await?;
    Ok(found.is_some())
}

/// Takes a locked professional out; the events that named it keep a copy of the name.
pub(crate) async fn delete(tx: &mut Tx, id: ProfessionalId) -> Result<(), sqlx::Error> {
    sqlx::query(KEEP_NAME).bind(id.get()).execute(&mut *tx.statement("UPDATE events")).await?;
    sqlx::query(DELETE_PROFESSIONAL)
        .bind(id.get())
        .execute(&mut *tx.statement("DELETE professionals"))
        .await
        .map(drop)
}
