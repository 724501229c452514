//! A user's own agenda: events, professionals and reports, each on two paths.
//!
//! `/api/<resource>` answers bare, `/api/v1/agenda/<resource>` the same in the envelope. Every change of one
//! thing names the version it was made for (`If-Match`), runs outside the request's own future, so that a
//! client that leaves cannot cut it in two, and answers with the token of its purge, so that the writer reads
//! its own write on every gateway.

pub mod calendar;
pub mod enveloped;
pub mod events;
pub mod professionals;
pub mod reports;

use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderValue, IF_MATCH, LOCATION};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::Serialize;

use crate::auth::Authenticated;
use crate::cache_policy::path_id;
use crate::error::{Error, FieldError};
use crate::gate::{Gate, WriteToken};
use crate::negotiation::{Encoding, EntityTag, tags};
use crate::precondition::{self, Precondition, version_tag};
use crate::query::Query;
use crate::representation::{Head, Kind};
use crate::routes::Route;

/// Whom the callers are asserted to.
const AGENDA: &str = "agenda";

/// Something in an agenda that has a version.
trait Kept: Sized {
    /// Its name in the envelope, and the beginning of its entity tags.
    const MEMBER: &'static str;
    const TAG: &'static str;

    fn id(&self) -> i64;
    fn version(&self) -> i64;
    fn view(&self) -> impl Serialize;

    /// The thing as the caller may see it now, past every cache.
    async fn current(gate: &Gate, assertion: Option<&str>, id: i64) -> Result<Self, Error>;

    /// `"e-5-v3"`
    fn version_tag(&self) -> String {
        version_tag(Self::TAG, self.id(), self.version())
    }
}

/// How a path shows things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Bare,
    Enveloped,
}

impl Style {
    fn of(request: &HttpRequest) -> Self {
        if request.path().starts_with("/api/v1/") { Self::Enveloped } else { Self::Bare }
    }

    /// What follows "current" in a refusal, and "data" in the envelope.
    fn shown<T: Kept>(self, kept: &T) -> String {
        let json = serde_json::to_string(&kept.view()).expect("views hold nothing that JSON cannot");
        match self {
            Self::Bare => json,
            Self::Enveloped => format!(r#"{{"{}":{json}}}"#, T::MEMBER),
        }
    }

    fn body<T: Kept>(self, kept: &T) -> String {
        match self {
            Self::Bare => self.shown(kept),
            Self::Enveloped => format!(r#"{{"data":{}}}"#, self.shown(kept)),
        }
    }
}

/// Somebody who may make something of their own.
struct Creation {
    gate: Rc<Gate>,
    caller: Authenticated,
    style: Style,
    collection: &'static str,
}

impl Creation {
    /// Checks everything but the body, which is not worth reading otherwise.
    fn begin(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        let caller = gate.authenticate(request)?.user()?;
        Query::parse(request.query_string())?.finish()?;
        let (route, _) = Route::find(request.path()).ok_or(Error::NotFound)?;
        Ok(Self { gate, caller, style: Style::of(request), collection: route.spec().template })
    }

    fn assertion(&self) -> Option<String> {
        self.caller.assertion(&self.gate, AGENDA)
    }

    /// The answer to a creation that was tried.
    fn finish<T: Kept>(self, made: Result<(Option<T>, WriteToken), Error>) -> Result<HttpResponse, Error> {
        let (kept, token) = made.map_err(named_as_in_bodies)?;
        let kept = kept.ok_or(Error::Internal)?;
        let mut response = answer(StatusCode::CREATED, self.style, &kept);
        let location = header(&format!("{}/{}", self.collection, kept.id()))?;
        response.headers_mut().insert(LOCATION, location);
        token.write(response.headers_mut());
        Ok(response)
    }
}

/// A change of one version of one thing by its user.
struct Change {
    gate: Rc<Gate>,
    caller: Authenticated,
    style: Style,
    id: i64,
    version: i64,
}

impl Change {
    /// Checks everything but the body, which is not worth reading otherwise.
    async fn begin<T: Kept>(request: &HttpRequest) -> Result<Self, Error> {
        let gate = Gate::of(request);
        let caller = gate.authenticate(request)?.user()?;
        let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
        let id = path_id(segment)?;
        Query::parse(request.query_string())?.finish()?;
        let style = Style::of(request);
        let precondition = Precondition::required(request.headers(), T::TAG, id)?;
        let version = match precondition.version() {
            Some(version) => version,
            None => {
                let assertion = caller.assertion(&gate, AGENDA);
                let current = T::current(&gate, assertion.as_deref(), id).await?;
                if !precondition.names(current.version()) && !names_content(request, &current) {
                    return Err(precondition_failed(style, Some(&current)));
                }
                current.version()
            }
        };
        Ok(Self { gate, caller, style, id, version })
    }

    fn assertion(&self) -> Option<String> {
        self.caller.assertion(&self.gate, AGENDA)
    }

    /// The answer to a change that was tried; without a body when nothing is left to show.
    async fn finish<T: Kept>(
        self,
        made: Result<(Option<T>, WriteToken), Error>,
    ) -> Result<HttpResponse, Error> {
        let (kept, token) = match made {
            Ok(made) => made,
            Err(Error::PreconditionFailed { .. }) => {
                let assertion = self.assertion();
                let current = T::current(&self.gate, assertion.as_deref(), self.id).await.ok();
                return Err(precondition_failed(self.style, current.as_ref()));
            }
            Err(error) => return Err(named_as_in_bodies(error)),
        };
        let mut response = match kept {
            Some(kept) => answer(StatusCode::OK, self.style, &kept),
            None => HttpResponse::NoContent().finish(),
        };
        token.write(response.headers_mut());
        Ok(response)
    }
}

fn answer<T: Kept>(status: StatusCode, style: Style, kept: &T) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/json")
        .insert_header((ETAG, kept.version_tag()))
        .body(style.body(kept))
}

fn precondition_failed<T: Kept>(style: Style, current: Option<&T>) -> Error {
    precondition::failed(current.map(|kept| (kept.version_tag(), style.shown(kept).into_bytes())))
}

/// Whether `If-Match` names the current content: what a cached read of it was tagged with, in whatever form
/// and encoding that went out.
fn names_content<T: Kept>(request: &HttpRequest, current: &T) -> bool {
    let header = request.headers().get(IF_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = Bytes::from(Style::Bare.shown(current));
    let head = Head::encode(Kind::Json, &body);
    let content = Head::decode(&head).expect("encoded above").etag(Encoding::Identity).trim_matches('"');
    tags(header).any(|tag| match tag {
        EntityTag::Strong(tag) => tag.trim_matches('"').split('-').next() == Some(content),
        EntityTag::Any | EntityTag::Weak(_) => false,
    })
}

/// Services name fields as the contract does, bodies of the agenda in camel case.
fn named_as_in_bodies(error: Error) -> Error {
    let rename = |mut field: FieldError| {
        let name = match field.pointer.as_str() {
            "/starts_at" => "/startsAt",
            "/ends_at" => "/endsAt",
            "/professional_id" => "/professionalId",
            "/receiver_id" => "/receiverId",
            "/event_id" => "/eventId",
            "/product_id" => "/productId",
            _ => return field,
        };
        name.clone_into(&mut field.pointer);
        field
    };
    match error {
        Error::Validation(fields) => Error::Validation(fields.into_iter().map(rename).collect()),
        Error::Conflict(field) => Error::Conflict(rename(field)),
        other => other,
    }
}

fn header(value: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(value).ok().ok_or(Error::Internal)
}
