//! What a user is told, and how.
//!
//! Every change runs outside the request's own future, so that a client that leaves cannot cut it in two, and
//! answers with the token of its purge, so that the writer reads its own write on every gateway.

use actix_web::{HttpRequest, HttpResponse, web};
use proto::notifications::v1 as pb;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Found, Origin};
use crate::body;
use crate::cache_policy::{Shown, path_id};
use crate::error::Error;
use crate::fields::{Fields, Mistakes};
use crate::gate::Gate;
use crate::json::Json;
use crate::pages::Pages;
use crate::query::Query;
use crate::routes::Route;
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::{self, Notification, Pagination, Preference};

/// Whom the callers are asserted to.
const NOTIFICATIONS: &str = "notifications";
/// More kinds than there will ever be.
const PREFERENCES_MAX: usize = 50;

/// A page of notifications in the envelope.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationPage {
    notifications: Vec<Notification>,
    pagination: Pagination,
    /// Of the whole feed.
    unread: u64,
}

/// How the user wishes to be told.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreferenceList {
    preferences: Vec<Preference>,
}

/// How many notifications were unread until now.
#[derive(Debug, Serialize, ToSchema)]
pub struct MarkedAnswer {
    marked: u64,
}

/// What a notification is to be.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct MarkBody {
    read: bool,
}

/// The kinds to be told otherwise; the others stay as they are.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct PreferencesBody {
    /// 1 to 50, each kind once.
    preferences: Vec<PreferenceBody>,
}

/// How to be told about one kind.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct PreferenceBody {
    /// `report.received`, `account.security` or `account.welcome`.
    kind: String,
    in_app: bool,
    email: bool,
}

/// The signed-in user's notifications, latest first.
#[utoipa::path(
    get,
    path = "/api/notifications",
    tag = "notifications",
    params(
        ("page" = Option<u32>, Query, description = "From 1"),
        ("limit" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("unread" = Option<bool>, Query, description = "`true` leaves out what was read")
    ),
    responses(
        (
            status = 200,
            description = "A bare list; `X-Total-Count`, `X-Page`, `X-Limit`, `Link` and `X-Unread-Count` say the rest",
            body = Vec<Notification>
        ),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = super::openapi::ProblemDocument),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(origin: Origin, pages: Pages, shown: Shown) -> Result<Found, Error> {
    let message = pb::ListNotificationsRequest {
        page: pages.page,
        limit: pages.limit,
        unread_only: shown == Shown::Unread,
    };
    let reply = read(message, READ_DEADLINE, origin.bearer(), |request| {
        let mut notifications = origin.upstream.notifications.clone();
        async move { notifications.list_notifications(request).await }
    })
    .await?;
    let rows: Vec<Notification> = reply.notifications.iter().map(Notification::of).collect();
    Ok(Found::page(&rows, pages, reply.total, Some(reply.unread)))
}

/// The same in the envelope; only documents the route.
#[utoipa::path(
    get,
    path = "/api/v1/notifications",
    tag = "notifications",
    params(
        ("page" = Option<u32>, Query, description = "From 1"),
        ("limit" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("unread" = Option<bool>, Query, description = "`true` leaves out what was read")
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<NotificationPage>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = super::openapi::ProblemDocument),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
#[expect(dead_code, reason = "one function answers both paths; each path needs a description of its own")]
pub(crate) fn list_enveloped() {}

/// Marks one as read or unread. What is so already stays so.
#[utoipa::path(
    put,
    path = "/api/notifications/{id}",
    tag = "notifications",
    params(("id" = i64, Path)),
    request_body = MarkBody,
    responses(
        (status = 200, description = "The notification", body = Notification),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such notification of the user's", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn mark(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    let id = id_of(&request)?;
    let read = mark_body(body::json(&request, payload).await?)?;
    let message = pb::MarkNotificationRequest { id, read };
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let changed = gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut notifications = writer.notifications.clone();
            async move { notifications.mark_notification(request).await }
        })
        .await?;
        Ok((reply.notification, reply.receipts))
    });
    let (notification, token) = changed.await?;
    let notification = Notification::of(&notification.ok_or(Error::Internal)?);
    let mut response = HttpResponse::Ok().json(notification);
    token.write(response.headers_mut());
    Ok(response)
}

/// Marks all as read.
#[utoipa::path(
    post,
    path = "/api/notifications/read-all",
    tag = "notifications",
    responses(
        (status = 200, description = "Done", body = MarkedAnswer),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn mark_all(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let changed = gate.change(async move |writer| {
        let message = pb::MarkAllReadRequest {};
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut notifications = writer.notifications.clone();
            async move { notifications.mark_all_read(request).await }
        })
        .await?;
        Ok((reply.marked, reply.receipts))
    });
    let (marked, token) = changed.await?;
    let mut response = HttpResponse::Ok().json(MarkedAnswer { marked });
    token.write(response.headers_mut());
    Ok(response)
}

/// Removes one.
#[utoipa::path(
    delete,
    path = "/api/notifications/{id}",
    tag = "notifications",
    params(("id" = i64, Path)),
    responses(
        (status = 204, description = "Done"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such notification of the user's", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn delete(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    let message = pb::DeleteNotificationRequest { id: id_of(&request)? };
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let changed = gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut notifications = writer.notifications.clone();
            async move { notifications.delete_notification(request).await }
        })
        .await?;
        Ok(((), reply.receipts))
    });
    let ((), token) = changed.await?;
    let mut response = HttpResponse::NoContent().finish();
    token.write(response.headers_mut());
    Ok(response)
}

/// How the signed-in user wishes to be told.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/preferences",
    tag = "notifications",
    responses(
        (status = 200, description = "One for every kind there is", body = views::Data<PreferenceList>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn preferences(origin: Origin) -> Result<Found, Error> {
    let message = pb::GetPreferencesRequest {};
    let reply = read(message, READ_DEADLINE, origin.bearer(), |request| {
        let mut notifications = origin.upstream.notifications.clone();
        async move { notifications.get_preferences(request).await }
    })
    .await?;
    let rows: Vec<Preference> = reply.preferences.iter().map(Preference::of).collect();
    Ok(Found::json(&rows))
}

/// Changes some of the preferences; kinds that are not named stay as they are.
#[utoipa::path(
    put,
    path = "/api/v1/notifications/preferences",
    tag = "notifications",
    request_body = PreferencesBody,
    responses(
        (status = 200, description = "One for every kind there is", body = views::Data<PreferenceList>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn prefer(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let preferences = preferences_body(body::json(&request, payload).await?)?;
    let message = pb::UpdatePreferencesRequest { preferences };
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let changed = gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut notifications = writer.notifications.clone();
            async move { notifications.update_preferences(request).await }
        })
        .await?;
        Ok((reply.preferences, reply.receipts))
    });
    let (preferences, token) = changed.await?;
    let preferences = preferences.iter().map(Preference::of).collect();
    let body = views::envelope(PreferenceList { preferences });
    let mut response = HttpResponse::Ok().content_type("application/json").body(body);
    token.write(response.headers_mut());
    Ok(response)
}

fn id_of(request: &HttpRequest) -> Result<i64, Error> {
    Query::parse(request.query_string())?.finish()?;
    let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
    path_id(segment)
}

fn mark_body(body: Json) -> Result<bool, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let read = fields.boolean("read");
    let read = fields.required("read", read);
    fields.finish();
    mistakes.finish(read)
}

fn preferences_body(body: Json) -> Result<Vec<pb::Preference>, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let preferences = fields.list("preferences", 1..=PREFERENCES_MAX, |fields| {
        let (kind, in_app, email) =
            (fields.string("kind", 1..=64), fields.boolean("in_app"), fields.boolean("email"));
        pb::Preference {
            kind: fields.required("kind", kind),
            in_app: fields.required("in_app", in_app),
            email: fields.required("email", email),
        }
    });
    let preferences = fields.required("preferences", preferences);
    fields.finish();
    mistakes.finish(preferences)
}
