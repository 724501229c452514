//! The contract's messages: read into domain types, written from rows.

use prost_types::Timestamp;
use proto::agenda::v1 as pb;
use time::OffsetDateTime;

use crate::domain::event::{EventFields, Filter, Kind, Span, Status, moment};
use crate::domain::page::Page;
use crate::domain::professional::{ProfessionalFields, Specialty};
use crate::domain::report::{ReportFields, Role, Scores};
use crate::domain::{EventId, Invalid, ProductId, ProfessionalId, text};
use crate::store::events::EventRow;
use crate::store::professionals::ProfessionalRow;
use crate::store::reports::ReportRow;

/// Reads which page is wanted; the first one of 20 rows unless said.
pub(crate) fn page(page: Option<pb::Page>) -> Result<Page, Invalid> {
    page.map_or(Ok(Page::FIRST), |page| Page::parse(page.page, page.limit))
}

/// Reads which events are wanted.
pub(crate) fn filter(request: &pb::ListEventsRequest) -> Result<Filter, Invalid> {
    let bound = |field: &str, at: Option<Timestamp>| {
        at.map(|at| time(field, at).and_then(|at| moment(field, at))).transpose()
    };
    Ok(Filter {
        from: bound("from", request.from)?,
        to: bound("to", request.to)?,
        kind: request.kind.as_deref().map(|word| Kind::parse("kind", word)).transpose()?,
        status: request.status.as_deref().map(|word| Status::parse("status", word)).transpose()?,
    })
}

/// Reads the fields of an event.
pub(crate) fn event_fields(fields: Option<pb::EventFields>) -> Result<EventFields, Invalid> {
    let fields = given("fields", fields)?;
    let starts_at = time("starts_at", given("starts_at", fields.starts_at)?)?;
    let ends_at = time("ends_at", given("ends_at", fields.ends_at)?)?;
    Ok(EventFields {
        title: text::line("title", fields.title)?,
        kind: Kind::parse("kind", &fields.kind)?,
        professional: fields
            .professional_id
            .map(|id| ProfessionalId::parse("professional_id", id))
            .transpose()?,
        location: fields.location.map(|location| text::line("location", location)).transpose()?,
        description: fields.description.map(|words| text::notes("description", words)).transpose()?,
        span: Span::parse("starts_at", starts_at, "ends_at", ends_at)?,
        status: fields.status.map_or(Ok(Status::Scheduled), |status| Status::parse("status", &status))?,
    })
}

/// Reads the fields of a professional.
pub(crate) fn professional_fields(
    fields: Option<pb::ProfessionalFields>,
) -> Result<ProfessionalFields, Invalid> {
    let fields = given("fields", fields)?;
    Ok(ProfessionalFields {
        name: text::line("name", fields.name)?,
        specialty: Specialty::parse("specialty", &fields.specialty)?,
        bio: fields.bio.map(|bio| text::bio("bio", bio)).transpose()?,
        email: fields.email.map(|email| text::email("email", email)).transpose()?,
        phone: fields.phone.map(|phone| text::phone("phone", phone)).transpose()?,
    })
}

/// Reads the fields of a report.
pub(crate) fn report_fields(fields: Option<pb::ReportFields>) -> Result<ReportFields, Invalid> {
    let fields = given("fields", fields)?;
    let scores = given("scores", fields.scores)?;
    let tenths = [
        scores.fragrance,
        scores.flavor,
        scores.aftertaste,
        scores.acidity,
        scores.body,
        scores.balance,
        scores.uniformity,
        scores.clean_cup,
        scores.sweetness,
        scores.overall,
    ];
    Ok(ReportFields {
        title: text::line("title", fields.title)?,
        scores: Scores::parse("scores", tenths)?,
        notes: fields.notes.map(|notes| text::notes("notes", notes)).transpose()?,
        event: fields.event_id.map(|id| EventId::parse("event_id", id)).transpose()?,
        product: fields.product_id.map(|id| ProductId::parse("product_id", id)).transpose()?,
    })
}

/// Reads what a user is to the reports of a list; both unless said.
pub(crate) fn role(word: Option<&str>) -> Result<Option<Role>, Invalid> {
    word.map(|word| Role::parse("role", word)).transpose()
}

/// Reads the specialty that a list shows; every one unless said.
pub(crate) fn specialty(word: Option<&str>) -> Result<Option<Specialty>, Invalid> {
    word.map(|word| Specialty::parse("specialty", word)).transpose()
}

/// An event as readers see it.
pub(crate) fn event(row: EventRow) -> pb::Event {
    let professional = row.professional_name.zip(row.professional_specialty);
    pb::Event {
        id: row.id,
        title: row.title,
        kind: row.kind,
        professional: professional.map(|(name, specialty)| pb::ProfessionalRef {
            id: row.professional_id,
            name,
            specialty,
        }),
        location: row.location,
        description: row.description,
        starts_at: Some(timestamp(row.starts_at)),
        ends_at: Some(timestamp(row.ends_at)),
        status: row.status,
        version: row.version,
        created_at: Some(timestamp(row.created_at)),
    }
}

/// A professional as readers see it.
pub(crate) fn professional(row: ProfessionalRow) -> pb::Professional {
    pb::Professional {
        id: row.id,
        name: row.name,
        specialty: row.specialty,
        bio: row.bio,
        email: row.email,
        phone: row.phone,
        version: row.version,
        created_at: Some(timestamp(row.created_at)),
    }
}

/// A report as readers see it.
pub(crate) fn report(row: ReportRow) -> pb::Report {
    // The table's checks exclude negative scores and any other number of them.
    let mut scores = row.scores.iter().map(|tenths| u32::from(tenths.unsigned_abs()));
    let mut next = || scores.next().unwrap_or_default();
    let scores = pb::Scores {
        fragrance: next(),
        flavor: next(),
        aftertaste: next(),
        acidity: next(),
        body: next(),
        balance: next(),
        uniformity: next(),
        clean_cup: next(),
        sweetness: next(),
        overall: next(),
    };
    pb::Report {
        id: row.id,
        role: row.role,
        sender_id: row.sender_id,
        receiver_id: row.receiver_id,
        event_id: row.event_id,
        product_id: row.product_id,
        title: row.title,
        scores: Some(scores),
        total_score_tenths: row.total_tenths.unsigned_abs(),
        notes: row.notes,
        version: row.version,
        created_at: Some(timestamp(row.created_at)),
    }
}

fn given<T>(field: &str, value: Option<T>) -> Result<T, Invalid> {
    value.ok_or_else(|| Invalid::value(field, "must be given"))
}

fn time(field: &str, at: Timestamp) -> Result<OffsetDateTime, Invalid> {
    let nanos = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .map_err(|_out_of_range| Invalid::value(field, "must be in the years 2000 to 2100"))
}

/// A moment, exactly.
fn timestamp(at: OffsetDateTime) -> Timestamp {
    let nanos =
        i32::try_from(at.nanosecond()).expect("a second has fewer nanoseconds than 31 bits can count");
    Timestamp { seconds: at.unix_timestamp(), nanos }
}
