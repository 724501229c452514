//! Changes of a user's own addresses.

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use proto::accounts::v1::{Address, CreateAddressRequest, DeleteAddressRequest, ListAddressesRequest};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::ACCOUNTS;
use crate::auth::Authenticated;
use crate::bodies::{self, AddressBody, AddressPatchBody};
use crate::body;
use crate::cache_policy::path_id;
use crate::error::Error;
use crate::gate::Gate;
use crate::precondition::{self, Precondition, version_tag};
use crate::query::Query;
use crate::routes::Route;
use crate::upstream::{READ_DEADLINE, WRITE_DEADLINE, read, write};
use crate::views;

/// One address.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddressAnswer {
    address: views::Address,
}

/// Adds an address; the first becomes the default.
#[utoipa::path(
    post,
    path = "/api/v1/me/addresses",
    tag = "me",
    request_body = AddressBody,
    responses(
        (status = 201, description = "The address, its version in `ETag`", body = views::Data<AddressAnswer>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn create(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    Query::parse(request.query_string())?.finish()?;
    let fields = Some(bodies::address(body::json(&request, payload).await?)?);
    let assertion = caller.assertion(&gate, ACCOUNTS);
    let changed = gate.change(async move |writer| {
        let message = CreateAddressRequest { fields };
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.create_address(request).await }
        })
        .await?;
        Ok((reply.address, reply.receipts))
    });
    let (address, token) = changed.await?;
    let address = address.ok_or(Error::Internal)?;
    let mut response = answer(StatusCode::CREATED, &address);
    let location = format!("/api/v1/me/addresses/{}", address.id);
    let location = location.parse().ok().ok_or(Error::Internal)?;
    response.headers_mut().insert(LOCATION, location);
    token.write(response.headers_mut());
    Ok(response)
}

/// Changes the fields that are present; null removes an optional one. With `If-Match` only that version.
#[utoipa::path(
    patch,
    path = "/api/v1/me/addresses/{id}",
    tag = "me",
    params(
        ("id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "`\"ad-<id>-v<version>\"` of the version read")
    ),
    request_body = AddressPatchBody,
    responses(
        (status = 200, description = "The address, its version in `ETag`", body = views::Data<AddressAnswer>),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such address of the user's", body = super::openapi::ProblemDocument),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument),
        (status = 422, description = "validation_failed", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn patch(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let mut message = bodies::address_patch(body::json(&request, payload).await?)?;
    message.id = change.id;
    message.expected_version = change.version;
    let assertion = change.caller.assertion(&change.gate, ACCOUNTS);
    let changed = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.update_address(request).await }
        })
        .await?;
        Ok((reply.address, reply.receipts))
    });
    let changed = changed.await;
    let (address, token) = change.checked(changed).await?;
    let mut response = answer(StatusCode::OK, &address.ok_or(Error::Internal)?);
    token.write(response.headers_mut());
    Ok(response)
}

/// Removes an address. With `If-Match` only that version.
#[utoipa::path(
    delete,
    path = "/api/v1/me/addresses/{id}",
    tag = "me",
    params(
        ("id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "`\"ad-<id>-v<version>\"` of the version read")
    ),
    responses(
        (status = 204, description = "Done"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 404, description = "No such address of the user's", body = super::openapi::ProblemDocument),
        (status = 412, description = "Not the current version", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn delete(request: HttpRequest) -> Result<HttpResponse, Error> {
    let change = Change::begin(&request).await?;
    let message = DeleteAddressRequest { id: change.id, expected_version: change.version };
    let assertion = change.caller.assertion(&change.gate, ACCOUNTS);
    let changed = change.gate.change(async move |writer| {
        let reply = write(message, WRITE_DEADLINE, assertion.as_deref(), |request| {
            let mut accounts = writer.accounts.clone();
            async move { accounts.delete_address(request).await }
        })
        .await?;
        Ok(((), reply.receipts))
    });
    let changed = changed.await;
    let ((), token) = change.checked(changed).await?;
    let mut response = HttpResponse::NoContent().finish();
    token.write(response.headers_mut());
    Ok(response)
}

/// A change of one address by its owner.
struct Change {
    gate: std::rc::Rc<Gate>,
    caller: Authenticated,
    id: i64,
    /// Absent: whatever the version is.
    version: Option<i64>,
}

impl Change {
    /// Checks everything but the body, which is not worth reading otherwise.
    async fn begin(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        let caller = gate.authenticate(request)?.user()?;
        let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
        let id = path_id(segment)?;
        Query::parse(request.query_string())?.finish()?;
        let version = match Precondition::of(request.headers(), "ad", id) {
            None => None,
            Some(precondition) => match precondition.version() {
                Some(version) => Some(version),
                None => {
                    let address = current(&gate, &caller, id).await?;
                    if !precondition.names(address.version) {
                        return Err(not_current(Some(&address)));
                    }
                    Some(address.version)
                }
            },
        };
        Ok(Self { gate, caller, id, version })
    }

    /// What was changed; a version that was not the current one is answered with the current one.
    async fn checked<T>(&self, changed: Result<T, Error>) -> Result<T, Error> {
        match changed {
            Err(Error::PreconditionFailed { .. }) => {
                let address = current(&self.gate, &self.caller, self.id).await.ok();
                Err(not_current(address.as_ref()))
            }
            changed => changed,
        }
    }
}

fn answer(status: StatusCode, address: &Address) -> HttpResponse {
    let body = views::envelope(AddressAnswer { address: views::Address::of(address) });
    let etag = version_tag("ad", address.id, address.version);
    HttpResponse::build(status).content_type("application/json").insert_header((ETAG, etag)).body(body)
}

fn not_current(address: Option<&Address>) -> Error {
    precondition::failed(address.and_then(|address| {
        let body = serde_json::to_vec(&AddressAnswer { address: views::Address::of(address) }).ok()?;
        Some((version_tag("ad", address.id, address.version), body))
    }))
}

async fn current(gate: &Gate, caller: &Authenticated, id: i64) -> Result<Address, Error> {
    let assertion = caller.assertion(gate, ACCOUNTS);
    let reply = read(ListAddressesRequest {}, READ_DEADLINE, assertion.as_deref(), |request| {
        let mut accounts = gate.upstream().accounts.clone();
        async move { accounts.list_addresses(request).await }
    })
    .await?;
    reply.addresses.into_iter().find(|address| address.id == id).ok_or(Error::NotFound)
}
