//! What the law gives a user: a copy of everything known about them, and its erasure (LGPD, art. 18).

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse};
use proto::accounts::v1::{DataJob, GetDataJobRequest, RequestErasureRequest, RequestExportRequest};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::ACCOUNTS;
use super::my_sessions::uuid_in;
use crate::error::Error;
use crate::gate::Gate;
use crate::query::Query;
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views;

/// One job.
#[derive(Debug, Serialize, ToSchema)]
pub struct DataJobAnswer {
    job: views::DataJob,
}

/// Starts gathering everything known about the caller, or finds the job that does.
#[utoipa::path(
    get,
    path = "/api/v1/me/data",
    tag = "me",
    responses(
        (status = 202, description = "The job; `Location` is where it answers", body = views::Data<DataJobAnswer>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 429, description = "rate_limited", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn export(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    // A GET that begins something: not because another site's page leads here.
    gate.shared.home().check_stranger(request.headers())?;
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let reply = write(RequestExportRequest {}, WRITE_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.request_export(request).await }
    })
    .await?;
    accepted(reply.job)
}

/// Starts making the caller unrecognisable everywhere, or finds the job that does. Cannot be undone, hence needs a
/// fresh proof of identity.
#[utoipa::path(
    delete,
    path = "/api/v1/me/data",
    tag = "me",
    responses(
        (status = 202, description = "The job; `Location` is where it answers", body = views::Data<DataJobAnswer>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "step_up_required", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn erase(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let reply = write(RequestErasureRequest {}, WRITE_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.request_erasure(request).await }
    })
    .await?;
    accepted(reply.job)
}

/// How far a job of the caller's has come; a finished export has the document.
#[utoipa::path(
    get,
    path = "/api/v1/me/data/{id}",
    tag = "me",
    params(("id" = String, Path, description = "UUID")),
    responses(
        (status = 200, description = "The job", body = views::Data<DataJobAnswer>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such job of the user's", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn job(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let message = GetDataJobRequest { id: uuid_in(&request)? };
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.get_data_job(request).await }
    })
    .await?;
    let job = views::DataJob::of(&reply.job.ok_or(Error::Internal)?);
    Ok(HttpResponse::Ok().content_type("application/json").body(views::envelope(DataJobAnswer { job })))
}

fn accepted(job: Option<DataJob>) -> Result<HttpResponse, Error> {
    let job = views::DataJob::of(&job.ok_or(Error::Internal)?);
    let location = format!("/api/v1/me/data/{}", job.id);
    let body = views::envelope(DataJobAnswer { job });
    Ok(HttpResponse::Accepted()
        .content_type("application/json")
        .insert_header((LOCATION, location))
        .body(body))
}
