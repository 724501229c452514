//! Changes of a user's own profile.

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, web};
use proto::accounts::v1::{GetProfileRequest, User};

use super::account::UserAnswer;
use super::auth::ACCOUNTS;
use crate::auth::Authenticated;
use crate::bodies::{self, ProfilePatchBody};
use crate::body;
use crate::error::Error;
use crate::gate::Gate;
use crate::precondition::{self, Precondition, version_tag};
use crate::query::Query;
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views;

/// Changes the fields that are present. The version in `If-Match` is `"u-<id>-v<version>"`, made of the body that
/// `GET` answers; an answer to a change has it in `ETag`.
#[utoipa::path(
    patch,
    path = "/api/v1/me",
    tag = "me",
    params(("If-Match" = String, Header, description = "`\"u-<id>-v<version>\"` of the version read")),
    request_body = ProfilePatchBody,
    responses(
        (status = 200, description = "The user", body = views::Data<UserAnswer>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn patch(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let id = caller.caller.id().ok_or(Error::Unauthenticated)?;
    let precondition = Precondition::required(request.headers(), "u", id)?;
    let version = match precondition.version() {
        Some(version) => version,
        None => {
            let user = current(&gate, &caller).await?;
            if !precondition.names(user.version) {
                return Err(not_current(Some(&user)));
            }
            user.version
        }
    };
    let mut message = bodies::profile_patch(body::json(&request, payload).await?)?;
    message.expected_version = version;
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let changed = gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.update_profile(request).await }
        })
        .await?;
        Ok((reply.user, reply.receipts))
    });
    let (user, token) = match changed.await {
        Ok(changed) => changed,
        Err(Error::PreconditionFailed { .. }) => {
            return Err(not_current(current(&gate, &caller).await.ok().as_ref()));
        }
        Err(error) => return Err(error),
    };
    let mut response = answer(&user.ok_or(Error::Internal)?);
    token.write(response.headers_mut());
    Ok(response)
}

/// The user with their version in `ETag`.
pub(super) fn answer(user: &User) -> HttpResponse {
    let body = views::envelope(UserAnswer { user: views::User::of(user) });
    let etag = version_tag("u", user.id, user.version);
    HttpResponse::Ok().content_type("application/json").insert_header((ETAG, etag)).body(body)
}

/// The refusal of a change of another version.
pub(super) fn not_current(user: Option<&User>) -> Error {
    precondition::failed(user.and_then(|user| {
        let body = serde_json::to_vec(&UserAnswer { user: views::User::of(user) }).ok()?;
        Some((version_tag("u", user.id, user.version), body))
    }))
}

async fn current(gate: &Gate, caller: &Authenticated) -> Result<User, Error> {
    let assertion = caller.assertion(gate, ACCOUNTS);
    let reply = read(GetProfileRequest {}, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.get_profile(request).await }
    })
    .await?;
    reply.user.ok_or(Error::Internal)
}
