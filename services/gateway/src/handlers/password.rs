//! A user's own password.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use proto::accounts::v1::ChangePasswordRequest;
use utoipa::ToSchema;

use super::auth::{ACCOUNTS, NO_STORE, apply, begin, read_body, required_password};
use crate::body;
use crate::error::Error;
use crate::upstream::{LOGIN_DEADLINE, write};

/// The password as it is and as it shall be.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; the handler reads it")]
pub struct ChangePasswordBody {
    current_password: String,
    /// 15 to 128 characters, not a common one.
    new_password: String,
}

/// Changes the caller's password, and ends their other sessions.
#[utoipa::path(
    post,
    path = "/api/v1/me/password",
    tag = "me",
    request_body = ChangePasswordBody,
    responses(
        (status = 204, description = "Done"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 429, description = "rate_limited", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn change(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let caller = gate.authenticate(&request)?.user()?;
    let message = read_body(body::json(&request, payload).await?, |fields| ChangePasswordRequest {
        current_password: required_password(fields, "current_password"),
        new_password: required_password(fields, "new_password"),
    })?;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let changed = gate.change(async move |writer| {
        let reply = write(message, LOGIN_DEADLINE, assertion.as_deref(), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.change_password(request).await }
        })
        .await?;
        Ok((reply.revocations, Vec::new()))
    });
    let (revocations, _nothing_stale) = changed.await?;
    apply(&gate, &revocations);
    Ok(HttpResponse::NoContent().insert_header((CACHE_CONTROL, NO_STORE)).finish())
}
