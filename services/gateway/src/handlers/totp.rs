//! A user's own second factor.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use proto::accounts::v1::{ConfirmTotpRequest, DisableTotpRequest, EnrolTotpRequest};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{ACCOUNTS, NO_STORE, begin, read_body, required_code};
use crate::body;
use crate::error::Error;
use crate::gate::WriteToken;
use crate::upstream::{LOGIN_DEADLINE, write};
use crate::views;

/// A code that the application shows.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; the handlers read it")]
pub struct CodeBody {
    /// Six digits.
    code: String,
}

/// A second factor that is not in force yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct Enrolment {
    totp: Totp,
}

/// What the application needs; shown once.
#[derive(Serialize, ToSchema)]
pub struct Totp {
    /// Base32.
    secret: String,
    /// The same for a QR code.
    #[schema(example = "otpauth://totp/Mestres%20Caf%C3%A9:ana%40example.com?secret=…")]
    uri: String,
}

/// The secret stays out of logs.
impl std::fmt::Debug for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Totp").finish_non_exhaustive()
    }
}

/// Makes a secret for the caller's application; in force once a code of it is confirmed.
#[utoipa::path(
    post,
    path = "/api/v1/me/totp",
    tag = "me",
    responses(
        (status = 200, description = "The secret, shown once", body = views::Data<Enrolment>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "step_up_required", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn enrol(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let caller = gate.authenticate(&request)?.user()?;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let reply = write(EnrolTotpRequest {}, LOGIN_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.enrol_totp(request).await }
    })
    .await?;
    let totp = Totp { secret: reply.secret, uri: reply.uri };
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, NO_STORE))
        .body(views::envelope(Enrolment { totp })))
}

/// Puts the secret in force by one of its codes.
#[utoipa::path(
    post,
    path = "/api/v1/me/totp/confirm",
    tag = "me",
    request_body = CodeBody,
    responses(
        (status = 204, description = "Done"),
        (status = 401, description = "Not signed in, or the code is wrong", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 429, description = "rate_limited", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn confirm(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let caller = gate.authenticate(&request)?.user()?;
    let message = read_body(body::json(&request, payload).await?, |fields| ConfirmTotpRequest {
        code: required_code(fields, "code"),
    })?;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let changed = gate.change(async move |writer| {
        let reply = write(message, LOGIN_DEADLINE, assertion.as_deref(), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.confirm_totp(request).await }
        })
        .await?;
        Ok(((), reply.receipts))
    });
    let ((), token) = changed.await?;
    Ok(done(token))
}

/// Removes the second factor by one of its codes.
#[utoipa::path(
    post,
    path = "/api/v1/me/totp/disable",
    tag = "me",
    request_body = CodeBody,
    responses(
        (status = 204, description = "Done"),
        (status = 401, description = "Not signed in, or the code is wrong", body = super::openapi::ProblemDocument),
        (status = 403, description = "The account must keep it", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 429, description = "rate_limited", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn disable(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let caller = gate.authenticate(&request)?.user()?;
    let message = read_body(body::json(&request, payload).await?, |fields| DisableTotpRequest {
        code: required_code(fields, "code"),
    })?;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let changed = gate.change(async move |writer| {
        let reply = write(message, LOGIN_DEADLINE, assertion.as_deref(), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.disable_totp(request).await }
        })
        .await?;
        Ok(((), reply.receipts))
    });
    let ((), token) = changed.await?;
    Ok(done(token))
}

fn done(token: WriteToken) -> HttpResponse {
    let mut response = HttpResponse::NoContent().insert_header((CACHE_CONTROL, NO_STORE)).finish();
    token.write(response.headers_mut());
    response
}
