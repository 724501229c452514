//! Cupping reports: lists, pages of one, and what their sender does to them.

use actix_web::{HttpRequest, HttpResponse, web};
use proto::agenda::v1 as pb;
use proto::agenda::v1::{
    CreateReportRequest, DeleteReportRequest, GetReportRequest, ListReportsRequest, UpdateReportRequest,
};
use serde::Serialize;
use tag_cache::Tag;

use super::{Change, Creation, Kept};
use crate::agenda_bodies::{self, NewReportBody, ReportBody};
use crate::body;
use crate::cache_policy;
use crate::error::Error;
use crate::gate::Gate;
use crate::handlers::openapi::ProblemDocument;
use crate::handlers::{Found, Origin};
use crate::pages::Pages;
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::Report;

impl Kept for pb::Report {
    const MEMBER: &'static str = "report";
    const TAG: &'static str = "r";

    fn id(&self) -> i64 {
        self.id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn view(&self) -> impl Serialize {
        Report::of(self)
    }

    async fn current(gate: &Gate, assertion: Option<&str>, id: i64) -> Result<Self, Error> {
        let reply = read(GetReportRequest { id }, READ_DEADLINE, assertion, |request| {
            let mut agenda = gate.upstream().agenda.clone();
            async move { agenda.get_report(request).await }
        })
        .await?;
        reply.report.ok_or(Error::Internal)
    }
}

/// A page of the reports that the caller sent or received, the latest first.
#[utoipa::path(
    get,
    path = "/api/reports",
    tag = "agenda",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `limit` reaches 10000"),
        ("limit" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("role" = Option<String>, Query, description = "`sender` or `receiver`; both unless given")
    ),
    responses(
        (status = 200, description = "The page; `X-Total-Count`, `X-Page`, `X-Limit` and `Link` say where it is", body = [Report]),
        (status = 304, description = "The page of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(origin: Origin, pages: Pages, role: Option<&'static str>) -> Result<Found, Error> {
    let message = ListReportsRequest {
        page: Some(pb::Page { page: pages.page, limit: pages.limit }),
        role: role.map(str::to_owned),
    };
    let reply = read(message, READ_DEADLINE, origin.bearer(), |request| {
        let mut agenda = origin.upstream.agenda.clone();
        async move { agenda.list_reports(request).await }
    })
    .await?;
    let rows: Vec<Report> = reply.reports.iter().map(Report::of).collect();
    Ok(Found::page(&rows, pages, reply.total, None))
}

/// One report, as its sender and its receiver see it.
#[utoipa::path(
    get,
    path = "/api/reports/{id}",
    tag = "agenda",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The report; its `version` makes the `If-Match` of a change, and so does this `ETag`", body = Report),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 404, description = "No such report, or another user's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn get(origin: Origin, id: i64, tags: &mut Vec<Tag>) -> Result<Found, Error> {
    let reply = read(GetReportRequest { id }, READ_DEADLINE, origin.bearer(), |request| {
        let mut agenda = origin.upstream.agenda.clone();
        async move { agenda.get_report(request).await }
    })
    .await?;
    let report = reply.report.ok_or(Error::Internal)?;
    cache_policy::reported(report.sender_id.into_iter().chain(report.receiver_id), tags);
    Ok(Found::json(&Report::of(&report)))
}

/// A new report for another user.
#[utoipa::path(
    post,
    path = "/api/reports",
    tag = "agenda",
    request_body = NewReportBody,
    responses(
        (status = 201, description = "The report; `Location` says where it is", body = Report),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn create(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let creation = Creation::begin(&request)?;
    let (receiver_id, fields) = agenda_bodies::new_report(body::json(&request, payload).await?)?;
    let message = CreateReportRequest { receiver_id, fields: Some(fields) };
    let assertion = creation.assertion();
    let made = creation.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut agenda = writer.agenda.clone();
            async move { agenda.create_report(request).await }
        })
        .await?;
        Ok((reply.report, reply.receipts))
    });
    let made = made.await;
    creation.finish(made)
}

/// Replaces every field of a report; its sender only.
#[utoipa::path(
    put,
    path = "/api/reports/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = ReportBody,
    responses(
        (status = 200, description = "The report", body = Report),
        (status = 403, description = "The caller received it", body = ProblemDocument),
        (status = 404, description = "No such report, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn replace(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin::<pb::Report>(&request).await?;
    let fields = agenda_bodies::report(body::json(&request, payload).await?)?;
    let message =
        UpdateReportRequest { id: change.id, expected_version: change.version, fields: Some(fields) };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut agenda = writer.agenda.clone();
            async move { agenda.update_report(request).await }
        })
        .await?;
        Ok((reply.report, reply.receipts))
    });
    let made = made.await;
    change.finish(made).await
}

/// Takes a report back; its sender only.
#[utoipa::path(
    delete,
    path = "/api/reports/{id}",
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
pub(crate) async fn delete(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin::<pb::Report>(&request).await?;
    let message = DeleteReportRequest { id: change.id, expected_version: change.version };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut agenda = writer.agenda.clone();
            async move { agenda.delete_report(request).await }
        })
        .await?;
        Ok((None::<pb::Report>, reply.receipts))
    });
    let made = made.await;
    change.finish(made).await
}
