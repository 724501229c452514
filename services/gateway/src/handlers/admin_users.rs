//! Users as admins read and change them. Each change is audited by the service and needs a fresh proof of
//! identity.

use actix_web::http::header::{ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::accounts::v1::{
    GetUserRequest, ListUsersRequest, LockUserRequest, Revocation, Role, UpdateUserRequest, User,
};
use proto::events::v1::PurgeReceipt;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::account::UserAnswer;
use super::auth::ACCOUNTS;
use super::my_profile::{answer, not_current};
use crate::auth::Authenticated;
use crate::bodies::{self, LockBody, ROLES, UserPatchBody};
use crate::body;
use crate::cache_policy::path_id;
use crate::error::{Error, Text};
use crate::gate::{Gate, WriteToken};
use crate::listing::{OFFSET_MAX, PER_PAGE_DEFAULT, SEARCH_CHARS_MAX};
use crate::negotiation::none_match_names;
use crate::precondition::{Precondition, version_tag};
use crate::query::Query;
use crate::routes::Route;
use crate::upstream::{READ_DEADLINE, Upstream, WRITE_DEADLINE, read, write};
use crate::views::{self, Pagination};

/// Tries of a lock that names no version while the user changes at the same time.
const LOCK_ATTEMPTS_MAX: u32 = 3;

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserPage {
    users: Vec<views::User>,
    pagination: Pagination,
}

/// A page of users.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users",
    tag = "admin",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `per_page` reaches 10000"),
        ("per_page" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("role" = Option<String>, Query, description = "customer, staff or admin"),
        ("search" = Option<String>, Query, description = "Part of a name or mail address, up to 128 characters"),
        ("locked" = Option<bool>, Query)
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<UserPage>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.admin(&gate).await?;
    let message = users_asked(request.query_string())?;
    let (page, per_page) = (message.page, message.per_page);
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.list_users(request).await }
    })
    .await?;
    let users = reply.users.iter().map(views::User::of).collect();
    let page = UserPage { users, pagination: Pagination::numbered(page, per_page, reply.total) };
    Ok(HttpResponse::Ok().content_type("application/json").body(views::envelope(page)))
}

/// One user with their version in `ETag`.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}",
    tag = "admin",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The user", body = views::Data<UserAnswer>),
        (status = 304, description = "The version of `If-None-Match` is the current one"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such user", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn get(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.admin(&gate).await?;
    let id = id_in(&request)?;
    Query::parse(request.query_string())?.finish()?;
    let user = current(&gate, &caller, id).await?;
    let etag = version_tag("u", user.id, user.version);
    let named = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if named.is_some_and(|named| none_match_names(named, &etag)) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, etag)).finish());
    }
    Ok(answer(&user))
}

/// Changes name or role. A lower role counts at once, for tokens issued before too.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/users/{id}",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = UserPatchBody,
    responses(
        (status = 200, description = "The user", body = views::Data<UserAnswer>),
        (status = 403, description = "forbidden or step_up_required", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such user", body = super::openapi::ProblemDocument),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn patch(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.admin(&gate).await?;
    let id = id_in(&request)?;
    Query::parse(request.query_string())?.finish()?;
    let precondition = Precondition::required(request.headers(), "u", id)?;
    let version = version_named(&gate, &caller, precondition, id).await?;
    let message = bodies::user_patch(body::json(&request, payload).await?)?;
    let message = UpdateUserRequest { id, expected_version: version, ..message };
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let changed = change(&gate, async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.update_user(request).await }
        })
        .await?;
        Ok((reply.user, reply.revocations, reply.receipts))
    });
    let changed = changed.await;
    finish(&gate, &caller, id, changed).await
}

/// Locks a user, which ends every session of theirs, or unlocks them. Without `If-Match` whatever the version is.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/lock",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "ETag of the version read")),
    request_body = LockBody,
    responses(
        (status = 200, description = "The user", body = views::Data<UserAnswer>),
        (status = 403, description = "forbidden or step_up_required", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such user", body = super::openapi::ProblemDocument),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn lock(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.admin(&gate).await?;
    let id = id_in(&request)?;
    Query::parse(request.query_string())?.finish()?;
    let precondition = Precondition::of(request.headers(), "u", id);
    let named = match precondition {
        Some(precondition) => Some(version_named(&gate, &caller, precondition, id).await?),
        None => None,
    };
    let message = bodies::lock(body::json(&request, payload).await?)?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let version = match named {
            Some(version) => version,
            None => current(&gate, &caller, id).await?.version,
        };
        let message = LockUserRequest { id, expected_version: version, ..message.clone() };
        let assertion = caller.assertion(&gate, ACCOUNTS);
        let changed = change(&gate, async move |writer| {
            let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
                let mut accounts = writer.accounts.clone();
                async move { accounts.lock_user(request).await }
            })
            .await?;
            Ok((reply.user, reply.revocations, reply.receipts))
        });
        let changed = changed.await;
        let overtaken = matches!(changed, Err(Error::PreconditionFailed { .. }));
        if !overtaken || named.is_some() || attempts == LOCK_ATTEMPTS_MAX {
            return finish(&gate, &caller, id, changed).await;
        }
    }
}

/// Changes a user, and lets this gateway know at once what their tokens no longer prove, even if the client has
/// left by then.
async fn change<W>(gate: &Gate, work: impl FnOnce(Upstream) -> W) -> Result<(Option<User>, WriteToken), Error>
where
    W: Future<Output = Result<(Option<User>, Vec<Revocation>, Vec<PurgeReceipt>), Error>> + Send + 'static,
{
    let list = gate.shared.revocations.clone();
    let changed = gate.change(|writer| {
        let work = work(writer);
        async move {
            let (user, revocations, receipts) = work.await?;
            list.apply(&revocations, OffsetDateTime::now_utc().unix_timestamp());
            Ok((user, receipts))
        }
    });
    changed.await
}

/// The answer to a change that was tried.
async fn finish(
    gate: &Gate,
    caller: &Authenticated,
    id: i64,
    changed: Result<(Option<User>, WriteToken), Error>,
) -> Result<HttpResponse, Error> {
    let (user, token) = match changed {
        Ok(changed) => changed,
        Err(Error::PreconditionFailed { .. }) => {
            return Err(not_current(current(gate, caller, id).await.ok().as_ref()));
        }
        Err(error) => return Err(error),
    };
    let mut response = answer(&user.ok_or(Error::Internal)?);
    token.write(response.headers_mut());
    Ok(response)
}

/// The version that a change is for.
async fn version_named(
    gate: &Gate,
    caller: &Authenticated,
    precondition: Precondition<'_>,
    id: i64,
) -> Result<i64, Error> {
    if let Some(version) = precondition.version() {
        return Ok(version);
    }
    let user = current(gate, caller, id).await?;
    if precondition.names(user.version) { Ok(user.version) } else { Err(not_current(Some(&user))) }
}

async fn current(gate: &Gate, caller: &Authenticated, id: i64) -> Result<User, Error> {
    let assertion = caller.assertion(gate, ACCOUNTS);
    let reply = read(GetUserRequest { id }, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.get_user(request).await }
    })
    .await?;
    reply.user.ok_or(Error::Internal)
}

fn users_asked(query: &str) -> Result<ListUsersRequest, Error> {
    let mut query = Query::parse(query)?;
    let per_page = query.integer("per_page", 1..=100)?.unwrap_or(u64::from(PER_PAGE_DEFAULT));
    let page = query.integer("page", 1..=u64::from(u32::MAX))?.unwrap_or(1);
    let role = query.choice("role", &ROLES)?.unwrap_or(Role::Unspecified);
    let locked = query.choice("locked", &[("true", true), ("false", false)])?;
    let search = query.take("search").map(|search| search.trim().to_owned());
    query.finish()?;
    if page.saturating_mul(per_page) > OFFSET_MAX {
        return Err(Error::OffsetTooDeep);
    }
    if search.as_ref().is_some_and(|search| search.chars().count() > SEARCH_CHARS_MAX) {
        let detail = Text {
            pt: format!("até {SEARCH_CHARS_MAX} caracteres").into(),
            en: format!("up to {SEARCH_CHARS_MAX} characters").into(),
        };
        return Err(Error::InvalidParameter { name: "search".into(), detail });
    }
    let small = |number| u32::try_from(number).expect("at most 10,000");
    Ok(ListUsersRequest {
        page: small(page),
        per_page: small(per_page),
        role: role.into(),
        search: search.filter(|search| !search.is_empty()),
        locked,
    })
}

fn id_in(request: &HttpRequest) -> Result<i64, Error> {
    let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
    path_id(segment)
}
