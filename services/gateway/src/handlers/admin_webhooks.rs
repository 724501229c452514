//! Webhook endpoints, kept by admins.
//!
//! Whoever names an endpoint decides where the shop's facts go: staff may not. Nothing here is cached. Every change of
//! an endpoint names the version it was made for (`If-Match`) and runs outside the request's own future, so that a
//! client that leaves cannot cut it in two.

mod answers;
mod bodies;

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use proto::notifications::v1::{
    DeleteEndpointRequest, GetEndpointRequest, ListDeliveriesRequest, ListEndpointsRequest, RedeliverRequest,
    RotateSecretRequest, TestEndpointRequest,
};
use serde::Serialize;

pub use self::answers::{
    NewWebhookEndpoint, WebhookDeliveries, WebhookDelivery, WebhookDeliveryAnswer, WebhookEndpoint,
    WebhookEndpointAnswer, WebhookEndpoints, WebhookSecret,
};
pub use self::bodies::{EndpointPatchBody, NewEndpointBody};
use crate::auth::Authenticated;
use crate::body;
use crate::cache_policy::path_id;
use crate::error::{Current, Error, Text};
use crate::gate::Gate;
use crate::negotiation::{EntityTag, none_match_names, tags};
use crate::query::Query;
use crate::routes::Route;
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::{self, Pagination, timestamp};

/// Whom assertions are for.
const NOTIFICATIONS: &str = "notifications";
/// A receiver may take its time, and its admin waits for it.
const TEST_DEADLINE: Duration = Duration::from_secs(12);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PER_PAGE: u64 = 20;
const PER_PAGE_MAX: u64 = 100;
const PAGE_MAX: u64 = 10_000;
const STATUSES: [(&str, &str); 4] =
    [("pending", "pending"), ("delivered", "delivered"), ("failed", "failed"), ("dead", "dead")];
/// What a log is counted to.
const COUNT_MAX: u64 = 10_000;

/// Every endpoint there is, a hundred at most.
#[utoipa::path(
    get,
    path = "/api/v1/admin/webhooks",
    tag = "admin",
    responses(
        (status = 200, description = "The endpoints", body = views::Data<WebhookEndpoints>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(request: HttpRequest) -> Result<HttpResponse, Error> {
    let Admin { gate, caller } = Admin::of(&request).await?;
    Query::parse(request.query_string())?.finish()?;
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let reply = read(ListEndpointsRequest {}, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut webhooks = gate.upstream().webhooks.clone();
        async move { webhooks.list_endpoints(request).await }
    })
    .await?;
    let endpoints = reply.endpoints.into_iter().map(WebhookEndpoint::of).collect();
    Ok(answer(HttpResponse::Ok(), WebhookEndpoints { endpoints }))
}

/// Makes an endpoint. The answer is the only one that shows its secret.
#[utoipa::path(
    post,
    path = "/api/v1/admin/webhooks",
    tag = "admin",
    request_body = NewEndpointBody,
    responses(
        (status = 201, description = "The endpoint and its secret", body = views::Data<NewWebhookEndpoint>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed: the URL may not be asked, a type is unknown, or there are a hundred", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn create(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let Admin { gate, caller } = Admin::of(&request).await?;
    Query::parse(request.query_string())?.finish()?;
    let message = bodies::new_endpoint(body::json(&request, payload).await?)?;
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let (reply, _token) = gate
        .change(async move |writer| {
            let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
                let mut webhooks = writer.webhooks.clone();
                async move { webhooks.create_endpoint(request).await }
            })
            .await?;
            Ok((reply, Vec::new()))
        })
        .await?;
    let endpoint = WebhookEndpoint::of(reply.endpoint.ok_or(Error::Internal)?);
    let mut response = HttpResponse::Created();
    response
        .insert_header((ETAG, endpoint.etag()))
        .insert_header((LOCATION, format!("/api/v1/admin/webhooks/{}", endpoint.id())));
    Ok(answer(response, NewWebhookEndpoint { endpoint, secret: reply.secret }))
}

/// One endpoint with its version in `ETag`.
#[utoipa::path(
    get,
    path = "/api/v1/admin/webhooks/{id}",
    tag = "admin",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The endpoint", body = views::Data<WebhookEndpointAnswer>),
        (status = 304, description = "The version of `If-None-Match` is the current one"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such endpoint", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn get(request: HttpRequest) -> Result<HttpResponse, Error> {
    let admin = Admin::of(&request).await?;
    let id = id_of(&request)?;
    Query::parse(request.query_string())?.finish()?;
    let endpoint = admin.current(id).await?;
    let etag = endpoint.etag();
    let named = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if named.is_some_and(|named| none_match_names(named, &etag)) {
        return Ok(HttpResponse::NotModified()
            .insert_header((ETAG, etag))
            .insert_header((CACHE_CONTROL, NO_STORE))
            .finish());
    }
    Ok(versioned(StatusCode::OK, endpoint))
}

/// Changes what is present. Switching an endpoint on forgives what it failed and sends what waited.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/webhooks/{id}",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = EndpointPatchBody,
    responses(
        (status = 200, description = "The endpoint", body = views::Data<WebhookEndpointAnswer>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such endpoint", body = super::openapi::ProblemDocument),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn patch(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let mut message = bodies::endpoint_patch(body::json(&request, payload).await?)?;
    message.id = change.id;
    message.expected_version = change.version;
    let assertion = change.assertion();
    let made = change.admin.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut webhooks = writer.webhooks.clone();
            async move { webhooks.update_endpoint(request).await }
        })
        .await?;
        Ok((reply.endpoint.ok_or(Error::Internal)?, Vec::new()))
    });
    let (endpoint, _token) = match made.await {
        Ok(made) => made,
        Err(error) => return Err(change.refused(error).await),
    };
    Ok(versioned(StatusCode::OK, WebhookEndpoint::of(endpoint)))
}

/// Removes an endpoint with its log.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/webhooks/{id}",
    tag = "admin",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    responses(
        (status = 204, description = "Done"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such endpoint", body = super::openapi::ProblemDocument),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn delete(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let message = DeleteEndpointRequest { id: change.id, expected_version: change.version };
    let assertion = change.assertion();
    let made = change.admin.gate.change(async move |writer| {
        write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut webhooks = writer.webhooks.clone();
            async move { webhooks.delete_endpoint(request).await }
        })
        .await?;
        Ok(((), Vec::new()))
    });
    match made.await {
        Ok(_deleted) => Ok(HttpResponse::NoContent().insert_header((CACHE_CONTROL, NO_STORE)).finish()),
        Err(error) => Err(change.refused(error).await),
    }
}

/// Sends a `webhook.test` message now and says how it went, whatever became of it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/webhooks/{id}/test",
    tag = "admin",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "How it went", body = views::Data<WebhookDeliveryAnswer>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such endpoint", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn test(request: HttpRequest) -> Result<HttpResponse, Error> {
    let Admin { gate, caller } = Admin::of(&request).await?;
    let id = id_of(&request)?;
    no_body(&request)?;
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let (reply, _token) = gate
        .change(async move |writer| {
            let reply = write(TestEndpointRequest { id }, TEST_DEADLINE, assertion.as_deref(), |request| {
                let mut webhooks = writer.webhooks.clone();
                async move { webhooks.test_endpoint(request).await }
            })
            .await?;
            Ok((reply, Vec::new()))
        })
        .await?;
    let delivery = WebhookDelivery::of(reply.delivery.ok_or(Error::Internal)?);
    Ok(answer(HttpResponse::Ok(), WebhookDeliveryAnswer { delivery }))
}

/// Makes a new secret, shown once; the former one signs too for 24 hours.
#[utoipa::path(
    post,
    path = "/api/v1/admin/webhooks/{id}/rotate-secret",
    tag = "admin",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The secret", body = views::Data<WebhookSecret>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such endpoint", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn rotate_secret(request: HttpRequest) -> Result<HttpResponse, Error> {
    let Admin { gate, caller } = Admin::of(&request).await?;
    let id = id_of(&request)?;
    no_body(&request)?;
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let (reply, _token) = gate
        .change(async move |writer| {
            let reply = write(RotateSecretRequest { id }, WRITE_DEADLINE, assertion.as_deref(), |request| {
                let mut webhooks = writer.webhooks.clone();
                async move { webhooks.rotate_secret(request).await }
            })
            .await?;
            Ok((reply, Vec::new()))
        })
        .await?;
    let previous_until = timestamp(reply.previous_until.as_ref());
    Ok(answer(HttpResponse::Ok(), WebhookSecret { secret: reply.secret, previous_until }))
}

/// A page of an endpoint's log, latest first. Totals are counted to 10,000.
#[utoipa::path(
    get,
    path = "/api/v1/admin/webhooks/{id}/deliveries",
    tag = "admin",
    params(
        ("id" = i64, Path),
        ("status" = Option<String>, Query, description = "`pending`, `delivered`, `failed` or `dead`"),
        ("page" = Option<u32>, Query), ("per_page" = Option<u32>, Query, description = "1 to 100, by default 20")
    ),
    responses(
        (status = 200, description = "The page", body = views::Data<WebhookDeliveries>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such endpoint", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn deliveries(request: HttpRequest) -> Result<HttpResponse, Error> {
    let Admin { gate, caller } = Admin::of(&request).await?;
    let endpoint_id = id_of(&request)?;
    let mut query = Query::parse(request.query_string())?;
    let status = query.choice("status", &STATUSES)?.map(str::to_owned);
    let page = small(query.integer("page", 1..=PAGE_MAX)?.unwrap_or(1))?;
    let per_page = small(query.integer("per_page", 1..=PER_PAGE_MAX)?.unwrap_or(PER_PAGE))?;
    query.finish()?;
    let message = ListDeliveriesRequest { endpoint_id, page, limit: per_page, status };
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let reply = read(message, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut webhooks = gate.upstream().webhooks.clone();
        async move { webhooks.list_deliveries(request).await }
    })
    .await?;
    let pagination = Pagination {
        page: Some(page),
        per_page,
        total: Some(reply.total),
        total_exact: Some(reply.total < COUNT_MAX),
        pages: Some(reply.total.div_ceil(u64::from(per_page))),
        next_cursor: None,
        prev_cursor: None,
    };
    let deliveries = reply.deliveries.into_iter().map(WebhookDelivery::of).collect();
    Ok(answer(HttpResponse::Ok(), WebhookDeliveries { deliveries, pagination }))
}

/// Makes a delivery due at once, with its attempts counted anew.
#[utoipa::path(
    post,
    path = "/api/v1/admin/webhooks/deliveries/{id}/redeliver",
    tag = "admin",
    params(("id" = String, Path, description = "UUID of the delivery")),
    responses(
        (status = 202, description = "It will be sent", body = views::Data<WebhookDeliveryAnswer>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such delivery", body = super::openapi::ProblemDocument),
        (status = 422, description = "endpoint_disabled", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn redeliver(request: HttpRequest) -> Result<HttpResponse, Error> {
    let Admin { gate, caller } = Admin::of(&request).await?;
    let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
    // What is no UUID names nothing.
    let delivery_id = uuid::Uuid::try_parse(segment).map_err(|_syntax| Error::NotFound)?.to_string();
    no_body(&request)?;
    let assertion = caller.assertion(&gate, NOTIFICATIONS);
    let (reply, _token) = gate
        .change(async move |writer| {
            let message = RedeliverRequest { delivery_id };
            let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
                let mut webhooks = writer.webhooks.clone();
                async move { webhooks.redeliver(request).await }
            })
            .await?;
            Ok((reply, Vec::new()))
        })
        .await?;
    let delivery = WebhookDelivery::of(reply.delivery.ok_or(Error::Internal)?);
    Ok(answer(HttpResponse::Accepted(), WebhookDeliveryAnswer { delivery }))
}

/// An admin whose session holds at this moment.
struct Admin {
    gate: Rc<Gate>,
    caller: Authenticated,
}

impl Admin {
    async fn of(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        let caller = gate.authenticate(request)?.admin(&gate).await?;
        Ok(Self { gate, caller })
    }

    /// The endpoint as it is now.
    async fn current(&self, id: i64) -> Result<WebhookEndpoint, Error> {
        let assertion = self.caller.assertion(&self.gate, NOTIFICATIONS);
        let reply = read(GetEndpointRequest { id }, READ_DEADLINE, assertion.as_deref(), |request| {
            let mut webhooks = self.gate.upstream().webhooks.clone();
            async move { webhooks.get_endpoint(request).await }
        })
        .await?;
        reply.endpoint.map(WebhookEndpoint::of).ok_or(Error::Internal)
    }
}

/// A change of one version of one endpoint.
struct Change {
    admin: Admin,
    id: i64,
    version: i64,
}

impl Change {
    /// Checks everything but the body, which is not worth reading otherwise.
    async fn begin(request: &HttpRequest) -> Result<Self, Error> {
        let admin = Admin::of(request).await?;
        let id = id_of(request)?;
        Query::parse(request.query_string())?.finish()?;
        let header = request.headers().get(IF_MATCH).ok_or(Error::PreconditionRequired)?;
        let header = header.to_str().unwrap_or_default();
        let mut versions = tags(header).filter_map(|tag| version_of(tag, id));
        let version = match (versions.next(), versions.next()) {
            (Some(version), None) if tags(header).all(|tag| tag != EntityTag::Any) => version,
            // Any version will do, or one of several: only the current one can tell.
            _ => {
                let endpoint = admin.current(id).await?;
                let etag = endpoint.etag();
                if !tags(header).any(|tag| tag == EntityTag::Any || tag == EntityTag::Strong(&etag)) {
                    return Err(precondition_failed(Some(endpoint)));
                }
                endpoint.version()
            }
        };
        Ok(Self { admin, id, version })
    }

    fn assertion(&self) -> Option<String> {
        self.admin.caller.assertion(&self.admin.gate, NOTIFICATIONS)
    }

    /// The error of a change that was tried; with the current endpoint when that is what is in the way.
    async fn refused(&self, error: Error) -> Error {
        match error {
            Error::PreconditionFailed { .. } => precondition_failed(self.admin.current(self.id).await.ok()),
            error => error,
        }
    }
}

fn precondition_failed(endpoint: Option<WebhookEndpoint>) -> Error {
    let current = endpoint.and_then(|endpoint| {
        let etag = endpoint.etag();
        let body = serde_json::to_vec(&WebhookEndpointAnswer { endpoint }).ok()?;
        Some(Box::new(Current { etag, body }))
    });
    Error::PreconditionFailed { current }
}

fn version_of(tag: EntityTag<'_>, id: i64) -> Option<i64> {
    let EntityTag::Strong(tag) = tag else { return None };
    let version = tag.strip_prefix(&format!("\"wh-{id}-v"))?.strip_suffix('"')?;
    crate::query::digits(version).and_then(|version| i64::try_from(version).ok())
}

fn versioned(status: StatusCode, endpoint: WebhookEndpoint) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((ETAG, endpoint.etag()));
    answer(response, WebhookEndpointAnswer { endpoint })
}

fn answer<T: Serialize>(mut response: HttpResponseBuilder, body: T) -> HttpResponse {
    response
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, NO_STORE))
        .body(views::envelope(body))
}

fn id_of(request: &HttpRequest) -> Result<i64, Error> {
    let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
    path_id(segment)
}

/// A body that nobody would read was meant for something else.
fn no_body(request: &HttpRequest) -> Result<(), Error> {
    Query::parse(request.query_string())?.finish()?;
    if body::is_announced(request) {
        let detail = Text::fixed("não deve haver corpo", "there must be no body");
        return Err(Error::UnsupportedMediaType(detail));
    }
    Ok(())
}

/// A number that was read within a range.
fn small(number: u64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_beyond_its_range| Error::Internal)
}
