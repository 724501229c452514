//! Coffee masters: lists, pages of one, and what their user does to them.

use actix_web::{HttpRequest, HttpResponse, web};
use proto::agenda::v1 as pb;
use proto::agenda::v1::{
    CreateProfessionalRequest, DeleteProfessionalRequest, GetProfessionalRequest, ListProfessionalsRequest,
    UpdateProfessionalRequest,
};
use serde::Serialize;

use super::{Change, Creation, Kept};
use crate::agenda_bodies::{self, ProfessionalBody};
use crate::body;
use crate::error::Error;
use crate::gate::Gate;
use crate::handlers::openapi::ProblemDocument;
use crate::handlers::{Found, Origin};
use crate::pages::Pages;
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views::Professional;

impl Kept for pb::Professional {
    const MEMBER: &'static str = "professional";
    const TAG: &'static str = "pr";

    fn id(&self) -> i64 {
        self.id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn view(&self) -> impl Serialize {
        Professional::of(self)
    }

    async fn current(gate: &Gate, assertion: Option<&str>, id: i64) -> Result<Self, Error> {
        let reply = read(GetProfessionalRequest { id }, READ_DEADLINE, assertion, |request| {
            let mut agenda = gate.upstream().agenda.clone();
            async move { agenda.get_professional(request).await }
        })
        .await?;
        reply.professional.ok_or(Error::Internal)
    }
}

/// A page of the caller's coffee masters, by name.
#[utoipa::path(
    get,
    path = "/api/professionals",
    tag = "agenda",
    params(
        ("page" = Option<u32>, Query, description = "From 1; `page` × `limit` reaches 10000"),
        ("limit" = Option<u32>, Query, description = "1 to 100, by default 20"),
        ("specialty" = Option<String>, Query)
    ),
    responses(
        (status = 200, description = "The page; `X-Total-Count`, `X-Page`, `X-Limit` and `Link` say where it is", body = [Professional]),
        (status = 304, description = "The page of `If-None-Match` is still the same"),
        (status = 400, description = "invalid_parameter or offset_too_deep", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn list(
    origin: Origin,
    pages: Pages,
    specialty: Option<&'static str>,
) -> Result<Found, Error> {
    let message = ListProfessionalsRequest {
        page: Some(pb::Page { page: pages.page, limit: pages.limit }),
        specialty: specialty.map(str::to_owned),
    };
    let reply = read(message, READ_DEADLINE, origin.bearer(), |request| {
        let mut agenda = origin.upstream.agenda.clone();
        async move { agenda.list_professionals(request).await }
    })
    .await?;
    let rows: Vec<Professional> = reply.professionals.iter().map(Professional::of).collect();
    Ok(Found::page(&rows, pages, reply.total, None))
}

/// One coffee master.
#[utoipa::path(
    get,
    path = "/api/professionals/{id}",
    tag = "agenda",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The professional; its `version` makes the `If-Match` of a change, and so does this `ETag`", body = Professional),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 404, description = "No such professional, or another user's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn get(origin: Origin, id: i64) -> Result<Found, Error> {
    let reply = read(GetProfessionalRequest { id }, READ_DEADLINE, origin.bearer(), |request| {
        let mut agenda = origin.upstream.agenda.clone();
        async move { agenda.get_professional(request).await }
    })
    .await?;
    let professional = reply.professional.ok_or(Error::Internal)?;
    Ok(Found::json(&Professional::of(&professional)))
}

/// A new coffee master.
#[utoipa::path(
    post,
    path = "/api/professionals",
    tag = "agenda",
    request_body = ProfessionalBody,
    responses(
        (status = 201, description = "The professional; `Location` says where it is", body = Professional),
        (status = 409, description = "There is one of that name and specialty", body = ProblemDocument),
        (status = 401, description = "unauthenticated", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn create(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let creation = Creation::begin(&request)?;
    let fields = agenda_bodies::professional(body::json(&request, payload).await?)?;
    let message = CreateProfessionalRequest { fields: Some(fields) };
    let assertion = creation.assertion();
    let made = creation.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut agenda = writer.agenda.clone();
            async move { agenda.create_professional(request).await }
        })
        .await?;
        Ok((reply.professional, reply.receipts))
    });
    let made = made.await;
    creation.finish(made)
}

/// Replaces every field of a coffee master.
#[utoipa::path(
    put,
    path = "/api/professionals/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    request_body = ProfessionalBody,
    responses(
        (status = 200, description = "The professional", body = Professional),
        (status = 409, description = "There is one of that name and specialty", body = ProblemDocument),
        (status = 404, description = "No such professional, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 422, description = "validation_failed", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn replace(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin::<pb::Professional>(&request).await?;
    let fields = agenda_bodies::professional(body::json(&request, payload).await?)?;
    let message =
        UpdateProfessionalRequest { id: change.id, expected_version: change.version, fields: Some(fields) };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut agenda = writer.agenda.clone();
            async move { agenda.update_professional(request).await }
        })
        .await?;
        Ok((reply.professional, reply.receipts))
    });
    let made = made.await;
    change.finish(made).await
}

/// Takes a coffee master out; past events keep the name.
#[utoipa::path(
    delete,
    path = "/api/professionals/{id}",
    tag = "agenda",
    params(("id" = i64, Path), ("If-Match" = String, Header, description = "ETag of the version read")),
    responses(
        (status = 204, description = "Done"),
        (status = 409, description = "Scheduled events name the professional", body = ProblemDocument),
        (status = 404, description = "No such professional, or another user's", body = ProblemDocument),
        (status = 412, description = "Not the current version", body = ProblemDocument),
        (status = 428, description = "`If-Match` is missing", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn delete(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin::<pb::Professional>(&request).await?;
    let message = DeleteProfessionalRequest { id: change.id, expected_version: change.version };
    let assertion = change.assertion();
    let made = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut agenda = writer.agenda.clone();
            async move { agenda.delete_professional(request).await }
        })
        .await?;
        Ok((None::<pb::Professional>, reply.receipts))
    });
    let made = made.await.map_err(booked);
    change.finish(made).await
}

/// Events ahead are in the way of a deletion: a conflict, not a mistake in a body that there is not.
fn booked(error: Error) -> Error {
    match error {
        Error::Validation(mut fields) if fields.iter().any(|field| field.code == "professional_booked") => {
            Error::Conflict(fields.swap_remove(0))
        }
        other => other,
    }
}
