//! The bodies that change an agenda, read field by field.

use proto::agenda::v1::{EventFields, ProfessionalFields, ReportFields, Scores};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::error::{Error, Text};
use crate::fields::{Fields, Member, Mistakes};
use crate::json::Json;
use crate::pages::{KINDS, SPECIALTIES, STATUSES};

/// All fields of an event; what is left out is empty.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct EventBody {
    /// 1 to 200 characters on one line.
    title: String,
    /// `degustacao`, `aula`, `cupping`, `visita` or `torra`.
    kind: String,
    /// One of the caller's own.
    professional_id: Option<i64>,
    /// RFC 3339; years 2000 to 2100.
    starts_at: String,
    /// After the start, by a year at most.
    ends_at: String,
    /// Up to 200 characters.
    location: Option<String>,
    /// Up to 4,000 characters.
    description: Option<String>,
    /// `scheduled` (the default), `done` or `cancelled`.
    status: Option<String>,
}

/// All fields of a professional; what is left out is empty.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ProfessionalBody {
    /// 1 to 200 characters on one line.
    name: String,
    /// `barista`, `mestre_de_torra`, `q_grader`, `produtor` or `instrutor`.
    specialty: String,
    /// Up to 2,000 characters.
    bio: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

/// All fields of a report that its sender writes.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ReportBody {
    /// 1 to 200 characters on one line.
    title: String,
    scores: ScoresBody,
    /// Up to 4,000 characters.
    notes: Option<String>,
    /// An event of the caller's own.
    event_id: Option<i64>,
    product_id: Option<i64>,
}

/// A report that does not exist yet.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct NewReportBody {
    /// Another user.
    receiver_id: i64,
    #[schema(inline)]
    #[serde(flatten)]
    report: ReportBody,
}

/// SCA cupping scores: 0 to 10 points with one decimal at most, each of them.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ScoresBody {
    fragrance: f64,
    flavor: f64,
    aftertaste: f64,
    acidity: f64,
    body: f64,
    balance: f64,
    uniformity: f64,
    clean_cup: f64,
    sweetness: f64,
    overall: f64,
}

/// Reads an [`EventBody`].
pub fn event(body: Json) -> Result<EventFields, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let title = fields.string("title", 1..=200);
    let kind = word(&mut fields, "kind", &KINDS);
    let starts_at = moment(&mut fields, "startsAt");
    let ends_at = moment(&mut fields, "endsAt");
    let event = EventFields {
        title: fields.required("title", title),
        kind: fields.required("kind", kind),
        professional_id: fields.integer("professionalId", 1..=i64::MAX).present(),
        location: fields.string("location", 1..=200).present(),
        description: fields.string("description", 0..=4_000).present(),
        starts_at: Some(fields.required("startsAt", starts_at)),
        ends_at: Some(fields.required("endsAt", ends_at)),
        status: word(&mut fields, "status", &STATUSES).present(),
    };
    fields.finish();
    mistakes.finish(event)
}

/// Reads a [`ProfessionalBody`].
pub fn professional(body: Json) -> Result<ProfessionalFields, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let name = fields.string("name", 1..=200);
    let specialty = word(&mut fields, "specialty", &SPECIALTIES);
    let professional = ProfessionalFields {
        name: fields.required("name", name),
        specialty: fields.required("specialty", specialty),
        bio: fields.string("bio", 0..=2_000).present(),
        email: fields.string("email", 3..=254).present(),
        phone: fields.string("phone", 3..=32).present(),
    };
    fields.finish();
    mistakes.finish(professional)
}

/// Reads a [`ReportBody`].
pub fn report(body: Json) -> Result<ReportFields, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let report = report_fields(&mut fields);
    fields.finish();
    mistakes.finish(report)
}

/// Reads a [`NewReportBody`]: the receiver, and the rest.
pub fn new_report(body: Json) -> Result<(i64, ReportFields), Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let receiver = fields.integer("receiverId", 1..=i64::MAX);
    let receiver = fields.required("receiverId", receiver);
    let report = report_fields(&mut fields);
    fields.finish();
    mistakes.finish((receiver, report))
}

fn report_fields(fields: &mut Fields<'_>) -> ReportFields {
    let title = fields.string("title", 1..=200);
    let scores = fields.part("scores", |scores| Scores {
        fragrance: score(scores, "fragrance"),
        flavor: score(scores, "flavor"),
        aftertaste: score(scores, "aftertaste"),
        acidity: score(scores, "acidity"),
        body: score(scores, "body"),
        balance: score(scores, "balance"),
        uniformity: score(scores, "uniformity"),
        clean_cup: score(scores, "clean_cup"),
        sweetness: score(scores, "sweetness"),
        overall: score(scores, "overall"),
    });
    ReportFields {
        title: fields.required("title", title),
        scores: Some(fields.required("scores", scores)),
        notes: fields.string("notes", 0..=4_000).present(),
        event_id: fields.integer("eventId", 1..=i64::MAX).present(),
        product_id: fields.integer("productId", 1..=i64::MAX).present(),
    }
}

/// Points as tenths.
fn score(fields: &mut Fields<'_>, name: &str) -> u32 {
    let tenths = fields.tenths(name, 0..=10);
    u32::try_from(fields.required(name, tenths)).unwrap_or_default()
}

fn word(fields: &mut Fields<'_>, name: &str, words: &[&'static str]) -> Member<String> {
    let word = fields.string(name, 1..=32);
    // What is empty, or no string at all, was noted already.
    if let Member::Present(text) = &word
        && !text.is_empty()
        && !words.contains(&text.as_str())
    {
        let list = words.join(", ");
        let detail = Text { pt: format!("um de: {list}").into(), en: format!("one of: {list}").into() };
        fields.mistake(name, "invalid", detail);
    }
    word
}

fn moment(fields: &mut Fields<'_>, name: &str) -> Member<prost_types::Timestamp> {
    let text = match fields.string(name, 1..=64) {
        Member::Absent => return Member::Absent,
        Member::Null => return Member::Null,
        Member::Present(text) => text,
    };
    let moment = OffsetDateTime::parse(&text, &Rfc3339);
    // What is empty, or no string at all, was noted already.
    if moment.is_err() && !text.is_empty() {
        let detail = Text::fixed(
            "um instante RFC 3339, como 2026-11-22T09:00:00Z",
            "an RFC 3339 moment such as 2026-11-22T09:00:00Z",
        );
        fields.mistake(name, "format", detail);
    }
    let at = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let nanos = i32::try_from(at.nanosecond()).unwrap_or_default();
    Member::Present(prost_types::Timestamp { seconds: at.unix_timestamp(), nanos })
}
