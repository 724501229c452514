//! Descriptions of the paths under `/api/v1/agenda`: the same functions answer them, in the envelope.

use serde::Serialize;
use utoipa::ToSchema;

use crate::handlers::openapi::ProblemDocument;
use crate::views::{self, Event, Professional, Report};

/// Where a page is in its list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListPagination {
    page: u32,
    per_page: u32,
    /// Rows of the whole list.
    total: u64,
    /// Always true.
    total_exact: bool,
    pages: u64,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    events: Vec<Event>,
    pagination: ListPagination,
}

/// One event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventAnswer {
    event: Event,
}

/// A page of professionals.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProfessionalPage {
    professionals: Vec<Professional>,
    pagination: ListPagination,
}

/// One professional.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProfessionalAnswer {
    professional: Professional,
}

/// A page of reports.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportPage {
    reports: Vec<Report>,
    pagination: ListPagination,
}

/// One report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportAnswer {
    report: Report,
}

/// A page of the caller's events, the latest start first.
#[utoipa::path(
    get,
    path = "/api/v1/agenda/events",
    tag = "agenda",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `limit` reaches 10000"),
        ("limit" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("from" = Option<String>, Query, description = "RFC 3339; those that end after it"),
        ("to" = Option<String>, Query, description = "RFC 3339; those that start before it"),
        ("kind" = Option<String>, Query),
        ("status" = Option<String>, Query)
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<EventPage>),
        (status = 304, description = "The page of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn list_events() {}

/// One event.
#[utoipa::path(
    get,
    path = "/api/v1/agenda/events/{id}",
    tag = "agenda",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The event; its `version` makes the `If-Match` of a change, and so does this `ETag`", body = views::Data<EventAnswer>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 404, description = "No such event, or another user's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn get_event() {}

/// A new event.
#[utoipa::path(
    post,
    path = "/api/v1/agenda/events",
    tag = "agenda",
    request_body = crate::agenda_bodies::EventBody,
    responses(
        (status = 201, description = "The event; `Location` says where it is", body = views::Data<EventAnswer>),
        (status = 409, description = "The professional has another event at that time", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn create_event() {}

/// Replaces every field of an event.
#[utoipa::path(
    put,
    path = "/api/v1/agenda/events/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = crate::agenda_bodies::EventBody,
    responses(
        (status = 200, description = "The event", body = views::Data<EventAnswer>),
        (status = 409, description = "The professional has another event at that time", body = ProblemDocument),
        (status = 404, description = "No such event, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn replace_event() {}

/// Takes an event out.
#[utoipa::path(
    delete,
    path = "/api/v1/agenda/events/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    responses(
        (status = 204, description = "Done"),
        (status = 404, description = "No such event, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn delete_event() {}

/// The agenda for calendar applications.
#[utoipa::path(
    get,
    path = "/api/v1/agenda/events.ics",
    tag = "agenda",
    responses(
        (status = 200, description = "The thousand latest events as an iCalendar (RFC 5545), `text/calendar`"),
        (status = 304, description = "The calendar of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn calendar() {}

/// A page of the caller's coffee masters, by name.
#[utoipa::path(
    get,
    path = "/api/v1/agenda/professionals",
    tag = "agenda",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `limit` reaches 10000"),
        ("limit" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("specialty" = Option<String>, Query)
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<ProfessionalPage>),
        (status = 304, description = "The page of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn list_professionals() {}

/// One coffee master.
#[utoipa::path(
    get,
    path = "/api/v1/agenda/professionals/{id}",
    tag = "agenda",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The professional; its `version` makes the `If-Match` of a change, and so does this `ETag`", body = views::Data<ProfessionalAnswer>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 404, description = "No such professional, or another user's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn get_professional() {}

/// A new coffee master.
#[utoipa::path(
    post,
    path = "/api/v1/agenda/professionals",
    tag = "agenda",
    request_body = crate::agenda_bodies::ProfessionalBody,
    responses(
        (status = 201, description = "The professional; `Location` says where it is", body = views::Data<ProfessionalAnswer>),
        (status = 409, description = "There is one of that name and specialty", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn create_professional() {}

/// Replaces every field of a coffee master.
#[utoipa::path(
    put,
    path = "/api/v1/agenda/professionals/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = crate::agenda_bodies::ProfessionalBody,
    responses(
        (status = 200, description = "The professional", body = views::Data<ProfessionalAnswer>),
        (status = 409, description = "There is one of that name and specialty", body = ProblemDocument),
        (status = 404, description = "No such professional, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn replace_professional() {}

/// Takes a coffee master out; past events keep the name.
#[utoipa::path(
    delete,
    path = "/api/v1/agenda/professionals/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    responses(
        (status = 204, description = "Done"),
        (status = 409, description = "Scheduled events name the professional", body = ProblemDocument),
        (status = 404, description = "No such professional, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn delete_professional() {}

/// A page of the reports that the caller sent or received, the latest first.
#[utoipa::path(
    get,
    path = "/api/v1/agenda/reports",
    tag = "agenda",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `limit` reaches 10000"),
        ("limit" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("role" = Option<String>, Query, description = "`sender` or `receiver`; both unless given")
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<ReportPage>),
        (status = 304, description = "The page of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn list_reports() {}

/// One report, as its sender and its receiver see it.
#[utoipa::path(
    get,
    path = "/api/v1/agenda/reports/{id}",
    tag = "agenda",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The report; its `version` makes the `If-Match` of a change, and so does this `ETag`", body = views::Data<ReportAnswer>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 404, description = "No such report, or another user's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn get_report() {}

/// A new report for another user.
#[utoipa::path(
    post,
    path = "/api/v1/agenda/reports",
    tag = "agenda",
    request_body = crate::agenda_bodies::NewReportBody,
    responses(
        (status = 201, description = "The report; `Location` says where it is", body = views::Data<ReportAnswer>),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn create_report() {}

/// Replaces every field of a report; its sender only.
#[utoipa::path(
    put,
    path = "/api/v1/agenda/reports/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = crate::agenda_bodies::ReportBody,
    responses(
        (status = 200, description = "The report", body = views::Data<ReportAnswer>),
        (status = 403, description = "The caller received it", body = ProblemDocument),
        (status = 404, description = "No such report, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn replace_report() {}

/// Takes a report back; its sender only.
#[utoipa::path(
    delete,
    path = "/api/v1/agenda/reports/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    responses(
        (status = 204, description = "Done"),
        (status = 403, description = "The caller received it", body = ProblemDocument),
        (status = 404, description = "No such report, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn delete_report() {}
