//! The devices that a user is signed in on.

use actix_web::{HttpRequest, HttpResponse};
use proto::accounts::v1::{ListSessionsRequest, RevokeSessionRequest};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::auth::ACCOUNTS;
use crate::error::Error;
use crate::gate::Gate;
use crate::query::Query;
use crate::routes::Route;
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views;

/// The sessions of a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    sessions: Vec<views::Session>,
}

/// The caller's sessions, latest first.
#[utoipa::path(
    get,
    path = "/api/v1/me/sessions",
    tag = "me",
    responses(
        (status = 200, description = "At most 100", body = views::Data<SessionList>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let reply = read(ListSessionsRequest {}, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.list_sessions(request).await }
    })
    .await?;
    let sessions = reply.sessions.iter().map(views::Session::of).collect();
    Ok(HttpResponse::Ok().content_type("application/json").body(views::envelope(SessionList { sessions })))
}

/// Ends one of the caller's sessions: its tokens prove nothing any more.
#[utoipa::path(
    delete,
    path = "/api/v1/me/sessions/{id}",
    tag = "me",
    params(("id" = String, Path, description = "UUID")),
    responses(
        (status = 204, description = "Done"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such session of the user's", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn revoke(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let message = RevokeSessionRequest { session_id: uuid_in(&request)? };
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let revocations = gate.shared.revocations.clone();
    let changed = gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.revoke_session(request).await }
        })
        .await?;
        // Even if the client has left by now.
        revocations.apply(&reply.revocations, OffsetDateTime::now_utc().unix_timestamp());
        Ok(((), Vec::new()))
    });
    let ((), _nothing_stale) = changed.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The UUID in the path, as services write it. What is none names nothing.
pub(super) fn uuid_in(request: &HttpRequest) -> Result<String, Error> {
    let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
    let id = uuid::Uuid::try_parse(segment).map_err(|_not_a_uuid| Error::NotFound)?;
    Ok(id.to_string())
}
