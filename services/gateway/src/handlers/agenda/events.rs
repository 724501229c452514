//! Events: lists, pages of one, and what their user does to them.

use actix_web::{HttpRequest, HttpResponse, web};
use proto::agenda::v1 as pb;
use proto::agenda::v1::{
    CreateEventRequest, DeleteEventRequest, GetEventRequest, ListEventsRequest, UpdateEventRequest,
};
use serde::Serialize;

use super::{Change, Creation, Kept};
use crate::agenda_bodies::{self, EventBody};
use crate::body;
use crate::error::Error;
use crate::gate::Gate;
use crate::handlers::openapi::ProblemDocument;
use crate::handlers::{Found, Origin};
use crate::pages::{EventFilter, Pages};
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::Event;

impl Kept for pb::Event {
    const MEMBER: &'static str = "event";
    const TAG: &'static str = "e";

    fn id(&self) -> i64 {
        self.id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn view(&self) -> impl Serialize {
        Event::of(self)
    }

    async fn current(gate: &Gate, assertion: Option<&str>, id: i64) -> Result<Self, Error> {
        let reply = read(GetEventRequest { id }, READ_DEADLINE, assertion, |request| {
            let mut agenda = gate.upstream().agenda.clone();
            async move { agenda.get_event(request).await }
        })
        .await?;
        reply.event.ok_or(Error::Internal)
    }
}

/// A page of the caller's events, the latest start first.
#[utoipa::path(
    get,
    path = "/api/events",
    tag = "agenda",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `limit` reaches 10000"),
        ("limit" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("from" = Option<String>, Query, description = "RFC 3339; those that end after it"),
        ("to" = Option<String>, Query, description = "RFC 3339; those that start before it"),
        ("kind" = Option<String>, Query),
        ("status" = Option<String>, Query)
    ),
    responses(
        (status = 200, description = "The page; `X-Total-Count`, `X-Page`, `X-Limit` and `Link` say where it is", body = [Event]),
        (status = 304, description = "The page of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(origin: Origin, pages: Pages, filter: &EventFilter) -> Result<Found, Error> {
    let reply = page(&origin, pages, filter).await?;
    let rows: Vec<Event> = reply.events.iter().map(Event::of).collect();
    Ok(Found::page(&rows, pages, reply.total, None))
}

/// A page as the service answers it.
pub(super) async fn page(
    origin: &Origin,
    pages: Pages,
    filter: &EventFilter,
) -> Result<pb::ListEventsResponse, Error> {
    let message = ListEventsRequest {
        page: Some(pb::Page { page: pages.page, limit: pages.limit }),
        from: filter.from.map(timestamp),
        to: filter.to.map(timestamp),
        kind: filter.kind.map(str::to_owned),
        status: filter.status.map(str::to_owned),
    };
    read(message, READ_DEADLINE, origin.bearer(), |request| {
        let mut agenda = origin.upstream.agenda.clone();
        async move { agenda.list_events(request).await }
    })
    .await
}

fn timestamp(at: time::OffsetDateTime) -> prost_types::Timestamp {
    let nanos =
        i32::try_from(at.nanosecond()).expect("a second has fewer nanoseconds than 31 bits can count");
    prost_types::Timestamp { seconds: at.unix_timestamp(), nanos }
}

/// One event.
#[utoipa::path(
    get,
    path = "/api/events/{id}",
    tag = "agenda",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The event; its `version` makes the `If-Match` of a change, and so does this `ETag`", body = Event),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 404, description = "No such event, or another user's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn get(origin: Origin, id: i64) -> Result<Found, Error> {
    let reply = read(GetEventRequest { id }, READ_DEADLINE, origin.bearer(), |request| {
        let mut agenda = origin.upstream.agenda.clone();
        async move { agenda.get_event(request).await }
    })
    .await?;
    let event = reply.event.ok_or(Error::Internal)?;
    Ok(Found::json(&Event::of(&event)))
}

/// A new event.
#[utoipa::path(
    post,
    path = "/api/events",
    tag = "agenda",
    request_body = EventBody,
    responses(
        (status = 201, description = "The event; `Location` says where it is", body = Event),
        (status = 409, description = "The professional has another event at that time", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn create(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let creation = Creation::begin(&request)?;
    let fields = agenda_bodies::event(body::json(&request, payload).await?)?;
    let message = CreateEventRequest { fields: Some(fields) };
    let assertion = creation.assertion();
    let made = creation.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut agenda = writer.agenda.clone();
            async move { agenda.create_event(request).await }
        })
        .await?;
        Ok((reply.event, reply.receipts))
    });
    let made = made.await;
    creation.finish(made)
}

/// Replaces every field of an event.
#[utoipa::path(
    put,
    path = "/api/events/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = EventBody,
    responses(
        (status = 200, description = "The event", body = Event),
        (status = 409, description = "The professional has another event at that time", body = ProblemDocument),
        (status = 404, description = "No such event, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn replace(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin::<pb::Event>(&request).await?;
    let fields = agenda_bodies::event(body::json(&request, payload).await?)?;
    let message =
        UpdateEventRequest { id: change.id, expected_version: change.version, fields: Some(fields) };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut agenda = writer.agenda.clone();
            async move { agenda.update_event(request).await }
        })
        .await?;
        Ok((reply.event, reply.receipts))
    });
    let made = made.await;
    change.finish(made).await
}

/// Takes an event out.
#[utoipa::path(
    delete,
    path = "/api/events/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    responses(
        (status = 204, description = "Done"),
        (status = 404, description = "No such event, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn delete(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin::<pb::Event>(&request).await?;
    let message = DeleteEventRequest { id: change.id, expected_version: change.version };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut agenda = writer.agenda.clone();
            async move { agenda.delete_event(request).await }
        })
        .await?;
        Ok((None::<pb::Event>, reply.receipts))
    });
    let made = made.await;
    change.finish(made).await
}
