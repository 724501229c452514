//! Signing in and out, and the links in mails. One's own password and second factor are beside it.

mod bodies;
mod signed_in;

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::accounts::v1::{Client, LogoutAllRequest, LogoutRequest, RefreshRequest, Revocation, User};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

pub use self::bodies::{
    EmailBody, LoginBody, RefreshBody, RegisterBody, ResetPasswordBody, StepUpBody, VerifyEmailBody,
};
pub(super) use self::bodies::{read as read_body, required_code, required_password};
pub use self::signed_in::{AccessToken, SignedIn, Tokens};
use super::{ORDERS, cart};
use crate::auth::{self, Authenticated};
use crate::body;
use crate::cookies;
use crate::error::Error;
use crate::gate::{Gate, WriteToken, X_REQUEST_ID};
use crate::prefetch;
use crate::query::Query;
use crate::request_id::RequestId;
use crate::upstream::{LOGIN_DEADLINE, WRITE_DEADLINE, write};
use crate::views;

/// Whom callers are asserted to.
pub(super) const ACCOUNTS: &str = "accounts";
/// Nothing of this may be kept anywhere.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// How long a sign-in waits for a cart.
const MERGE_WAIT_MAX: Duration = Duration::from_millis(1_500);
/// Bytes of a client's description of itself that are passed on.
const USER_AGENT_BYTES_MAX: usize = 512;

/// Whoever asked for an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct Registered {
    user: RegisteredUser,
}

/// What was asked for, as it was understood. The account may have existed before: that is not said here.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisteredUser {
    email: String,
    name: String,
    /// `pt-BR` or `en`.
    locale: String,
}

/// Asks for an account. The answer is the same whether or not the address has one; a mail tells its owner.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    tag = "auth",
    request_body = RegisterBody,
    responses(
        (status = 201, description = "Understood; a mail follows", body = views::Data<Registered>),
        (status = 403, description = "Sent by a page of another site", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 429, description = "rate_limited", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn register(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let mut message = bodies::register(body::json(&request, payload).await?)?;
    message.client = Some(client(&gate, &request)?);
    let assertion = gate.service_assertion(ACCOUNTS);
    let reply = write(message, LOGIN_DEADLINE, Some(&assertion), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.register(request).await }
    })
    .await?;
    let user = RegisteredUser { email: reply.email, name: reply.name, locale: reply.locale };
    Ok(HttpResponse::Created()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, NO_STORE))
        .body(views::envelope(Registered { user })))
}

/// Signs in. Browsers get their tokens in cookies; whoever is not one gets the refresh token in the body.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "auth",
    request_body = LoginBody,
    responses(
        (status = 200, description = "Signed in; sets the cookies", body = views::Data<SignedIn>),
        (
            status = 401,
            description = "unauthenticated, the same for every reason; totp_required only after the right password",
            body = super::openapi::ProblemDocument
        ),
        (status = 403, description = "Sent by a page of another site", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 429, description = "rate_limited", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn login(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let (mut message, strategy) = bodies::login(body::json(&request, payload).await?)?;
    message.client = Some(client(&gate, &request)?);
    let assertion = gate.service_assertion(ACCOUNTS);
    let reply = write(message, LOGIN_DEADLINE, Some(&assertion), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.login(request).await }
    })
    .await?;
    let (user, tokens) = reply.user.zip(reply.tokens).ok_or(Error::Internal)?;
    let device = Some(reply.device).filter(|device| !device.is_empty());
    prefetch::user(&gate, &user, &tokens.session_id);
    let merged = merged_cart(&gate, &request, &user, &tokens.session_id, strategy).await;
    let (report, written) = merged.unzip();
    let mut response = signed_in::answer(&request, Some((user, report)), tokens, device.as_deref())?;
    if let Some(written) = written {
        cart::forget_cart(&request, &gate, &mut response)?;
        written.write(response.headers_mut());
    }
    Ok(response)
}

/// Moves the cart of a token that was sent along into that of whoever has just signed in. Whatever becomes of it,
/// they are signed in; a cart that was not moved is still the token's.
async fn merged_cart(
    gate: &Gate,
    request: &HttpRequest,
    user: &User,
    session_id: &str,
    strategy: String,
) -> Option<(views::CartMerge, WriteToken)> {
    let token = cart::token_shown(request, gate)?;
    let user = prefetch::signed_in(user, session_id);
    let request_id = RequestId::of(request.headers().get(X_REQUEST_ID));
    let caller = Authenticated::new(Some(user), request_id);
    let assertion = caller.assertion(gate, ORDERS);
    let merging = cart::merge_carts(gate, assertion, &token, strategy);
    match tokio::time::timeout(MERGE_WAIT_MAX, merging).await {
        Ok(Ok(((report, _), written))) => Some((views::CartMerge::of(report), written)),
        // The token was never used.
        Ok(Err(Error::NotFound)) => None,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a cart was not merged at sign-in");
            None
        }
        Err(_elapsed) => {
            tracing::warn!("a cart was not merged in time at sign-in");
            None
        }
    }
}

/// A new pair of tokens for a refresh token, which is good once. Browsers send theirs in its cookie, everybody
/// else in the body.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "auth",
    request_body(content = Option<RefreshBody>, description = "Nothing when the cookie is sent"),
    responses(
        (status = 200, description = "The new pair; sets the cookies", body = views::Data<Tokens>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "Sent by a page of another site", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn refresh(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let refresh_token = if body::is_announced(&request) {
        bodies::refresh(body::json(&request, payload).await?)?
    } else {
        let cookie = cookies::one(request.headers(), cookies::REFRESH)?.ok_or(Error::Unauthenticated)?;
        let home = gate.shared.home();
        home.check_forgery(request.headers(), request.method(), auth::CookieKind::Browser)?;
        cookie.to_owned()
    };
    let message = RefreshRequest { refresh_token, client: Some(client(&gate, &request)?) };
    let assertion = gate.service_assertion(ACCOUNTS);
    let reply = write(message, LOGIN_DEADLINE, Some(&assertion), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.refresh(request).await }
    })
    .await
    .map_err(without_credentials)?;
    let tokens = reply.tokens.ok_or(Error::Internal)?;
    signed_in::answer(&request, None, tokens, None)
}

/// Ends the caller's session.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "auth",
    responses(
        (status = 204, description = "Done; removes the cookies"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn logout(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let caller = gate.authenticate(&request)?.user()?;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let reply = write(LogoutRequest {}, WRITE_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.logout(request).await }
    })
    .await?;
    Ok(signed_out(&gate, &reply.revocations))
}

/// Ends every session of the caller.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout-all",
    tag = "auth",
    responses(
        (status = 204, description = "Done; removes the cookies"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn logout_all(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let caller = gate.authenticate(&request)?.user()?;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let reply = write(LogoutAllRequest {}, WRITE_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.logout_all(request).await }
    })
    .await?;
    Ok(signed_out(&gate, &reply.revocations))
}

/// Asks for a link to set a new password. The answer is the same whether or not the address has an account.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password/forgot",
    tag = "auth",
    request_body = EmailBody,
    responses(
        (status = 202, description = "Understood"),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 429, description = "rate_limited", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn forgot_password(
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let mut message = bodies::forgot_password(body::json(&request, payload).await?)?;
    message.client = Some(client(&gate, &request)?);
    let assertion = gate.service_assertion(ACCOUNTS);
    write(message, LOGIN_DEADLINE, Some(&assertion), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.forgot_password(request).await }
    })
    .await?;
    Ok(HttpResponse::Accepted().insert_header((CACHE_CONTROL, NO_STORE)).finish())
}

/// Sets a new password by the token of a link, and ends every session of the account.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password/reset",
    tag = "auth",
    request_body = ResetPasswordBody,
    responses(
        (status = 204, description = "Done; removes the cookies"),
        (status = 400, description = "invalid_token", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn reset_password(
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let mut message = bodies::reset_password(body::json(&request, payload).await?)?;
    message.client = Some(client(&gate, &request)?);
    let assertion = gate.service_assertion(ACCOUNTS);
    let changed = gate.change(async move |writer| {
        let reply = write(message, LOGIN_DEADLINE, Some(&assertion), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.reset_password(request).await }
        })
        .await
        .map_err(link)?;
        Ok((reply.revocations, reply.receipts))
    });
    let (revocations, token) = changed.await?;
    let mut response = signed_out(&gate, &revocations);
    token.write(response.headers_mut());
    Ok(response)
}

/// Confirms a mail address by the token of a link.
#[utoipa::path(
    post,
    path = "/api/v1/auth/email/verify",
    tag = "auth",
    request_body = VerifyEmailBody,
    responses(
        (status = 204, description = "Done"),
        (status = 400, description = "invalid_token", body = super::openapi::ProblemDocument)
    )
)]
pub(crate) async fn verify_email(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let message = bodies::verify_email(body::json(&request, payload).await?)?;
    let assertion = gate.service_assertion(ACCOUNTS);
    let changed = gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, Some(&assertion), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.verify_email(request).await }
        })
        .await
        .map_err(link)?;
        Ok(((), reply.receipts))
    });
    let ((), token) = changed.await?;
    let mut response = HttpResponse::NoContent().insert_header((CACHE_CONTROL, NO_STORE)).finish();
    token.write(response.headers_mut());
    Ok(response)
}

/// Proves once more who is there, by password or by a code: what is asked for before anything that cannot be
/// undone.
#[utoipa::path(
    post,
    path = "/api/v1/auth/step-up",
    tag = "auth",
    request_body = StepUpBody,
    responses(
        (status = 200, description = "A fresh access token; sets its cookie", body = views::Data<AccessToken>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 429, description = "rate_limited", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn step_up(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = begin(&request)?;
    let caller = gate.authenticate(&request)?.user()?;
    let mut message = bodies::step_up(body::json(&request, payload).await?)?;
    message.client = Some(client(&gate, &request)?);
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let reply = write(message, LOGIN_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.step_up(request).await }
    })
    .await?;
    signed_in::fresh_access_token(reply.access_token, reply.expires_in_s)
}

/// The gate, once it is sure that no other site made a browser send this, and that no query was meant.
pub(super) fn begin(request: &HttpRequest) -> Result<std::rc::Rc<Gate>, Error> {
    let gate = Gate::of(request);
    gate.shared.home().check_stranger(request.headers())?;
    Query::parse(request.query_string())?.finish()?;
    Ok(gate)
}

/// Applies what a service revoked, so that at least this gateway knows at once.
pub(super) fn apply(gate: &Gate, revocations: &[Revocation]) {
    gate.shared.revocations.apply(revocations, OffsetDateTime::now_utc().unix_timestamp());
}

fn signed_out(gate: &Gate, revocations: &[Revocation]) -> HttpResponse {
    apply(gate, revocations);
    let mut response = HttpResponse::NoContent().insert_header((CACHE_CONTROL, NO_STORE)).finish();
    for cookie in cookies::cleared() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Where a request comes from, for limits and for the list of sessions.
fn client(gate: &Gate, request: &HttpRequest) -> Result<Client, Error> {
    let user_agent = request.headers().get(actix_web::http::header::USER_AGENT);
    let user_agent = user_agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    Ok(Client {
        address: gate.client_address(request).to_string(),
        // Visible ASCII, so that it can be cut anywhere.
        user_agent: user_agent.chars().take(USER_AGENT_BYTES_MAX).collect(),
        device: cookies::one(request.headers(), cookies::DEVICE)?.map(str::to_owned),
    })
}

/// A link that proves nothing is a bad request: nobody is asked to sign in for it.
fn link(error: Error) -> Error {
    match error {
        Error::InvalidCredentials | Error::Unauthenticated | Error::NotFound => Error::InvalidToken,
        other => other,
    }
}

/// Whoever refreshes typed no password that could be wrong.
fn without_credentials(error: Error) -> Error {
    match error {
        Error::InvalidCredentials => Error::Unauthenticated,
        other => other,
    }
}
