//! Events, professionals and reports as the JSON of the API.

use proto::agenda::v1 as agenda;
use serde::Serialize;
use utoipa::ToSchema;

use super::format::timestamp;

/// An event of an agenda.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub id: i64,
    pub title: String,
    /// `degustacao`, `aula`, `cupping`, `visita` or `torra`.
    pub kind: String,
    /// With whom.
    pub professional: Option<ProfessionalRef>,
    pub location: Option<String>,
    pub description: Option<String>,
    /// RFC 3339, UTC.
    pub starts_at: String,
    /// RFC 3339, UTC.
    pub ends_at: String,
    /// `scheduled`, `done` or `cancelled`.
    pub status: String,
    /// `If-Match` for changes is `"e-<id>-v<version>"`.
    pub version: i64,
    pub created_at: String,
}

/// A coffee master, where an event is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProfessionalRef {
    /// Null once the professional is deleted: name and specialty are as they were.
    pub id: Option<i64>,
    pub name: String,
    pub specialty: String,
}

/// A coffee master.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Professional {
    pub id: i64,
    pub name: String,
    /// `barista`, `mestre_de_torra`, `q_grader`, `produtor` or `instrutor`.
    pub specialty: String,
    pub bio: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    /// `If-Match` for changes is `"pr-<id>-v<version>"`.
    pub version: i64,
    pub created_at: String,
}

/// A cupping report.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub id: i64,
    /// What the caller is to it: `sender` or `receiver`.
    pub role: String,
    /// Null once that account was erased.
    pub sender_id: Option<i64>,
    /// Null once that account was erased.
    pub receiver_id: Option<i64>,
    /// An event of the sender's.
    pub event_id: Option<i64>,
    pub product_id: Option<i64>,
    pub title: String,
    /// The sum of the scores, with one decimal.
    #[schema(example = 85.5)]
    pub total_score: f64,
    pub scores: Scores,
    pub notes: Option<String>,
    /// `If-Match` for changes is `"r-<id>-v<version>"`.
    pub version: i64,
    pub created_at: String,
}

/// SCA cupping scores: 0 to 10 points with one decimal each.
#[derive(Debug, Serialize, ToSchema)]
pub struct Scores {
    pub fragrance: f64,
    pub flavor: f64,
    pub aftertaste: f64,
    pub acidity: f64,
    pub body: f64,
    pub balance: f64,
    pub uniformity: f64,
    pub clean_cup: f64,
    pub sweetness: f64,
    pub overall: f64,
}

impl Event {
    pub(crate) fn of(event: &agenda::Event) -> Self {
        Self {
            id: event.id,
            title: event.title.clone(),
            kind: event.kind.clone(),
            professional: event.professional.as_ref().map(|professional| ProfessionalRef {
                id: professional.id,
                name: professional.name.clone(),
                specialty: professional.specialty.clone(),
            }),
            location: event.location.clone(),
            description: event.description.clone(),
            starts_at: timestamp(event.starts_at.as_ref()),
            ends_at: timestamp(event.ends_at.as_ref()),
            status: event.status.clone(),
            version: event.version,
            created_at: timestamp(event.created_at.as_ref()),
        }
    }
}

impl Professional {
    pub(crate) fn of(professional: &agenda::Professional) -> Self {
        Self {
            id: professional.id,
            name: professional.name.clone(),
            specialty: professional.specialty.clone(),
            bio: professional.bio.clone(),
            email: professional.email.clone(),
            phone: professional.phone.clone(),
            version: professional.version,
            created_at: timestamp(professional.created_at.as_ref()),
        }
    }
}

impl Report {
    pub(crate) fn of(report: &agenda::Report) -> Self {
        let scores = report.scores.unwrap_or_default();
        Self {
            id: report.id,
            role: report.role.clone(),
            sender_id: report.sender_id,
            receiver_id: report.receiver_id,
            event_id: report.event_id,
            product_id: report.product_id,
            title: report.title.clone(),
            total_score: points(report.total_score_tenths),
            scores: Scores {
                fragrance: points(scores.fragrance),
                flavor: points(scores.flavor),
                aftertaste: points(scores.aftertaste),
                acidity: points(scores.acidity),
                body: points(scores.body),
                balance: points(scores.balance),
                uniformity: points(scores.uniformity),
                clean_cup: points(scores.clean_cup),
                sweetness: points(scores.sweetness),
                overall: points(scores.overall),
            },
            notes: report.notes.clone(),
            version: report.version,
            created_at: timestamp(report.created_at.as_ref()),
        }
    }
}

/// Tenths as a number that is written with one decimal: the shortest text that reads as the same number.
fn points(tenths: u32) -> f64 {
    f64::from(tenths) / 10.0
}
