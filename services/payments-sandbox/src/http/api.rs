//! What Stripe answers.

use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;

use super::answer::with;
use crate::error::Refusal;
use crate::form::Form;
use crate::intent::Intent;
use crate::operation::Operation;
use crate::sandbox::{Heard, Sandbox, now_ms};
use crate::world::{API_VERSION, Page, Query, World};

const KEY_MAX: usize = 255;

/// Proof that the request showed the secret, and speaks the version that is spoken here.
#[derive(Debug)]
pub(super) struct Bearer;

impl FromRequestParts<Sandbox> for Bearer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, sandbox: &Sandbox) -> Result<Self, Refusal> {
        let shown = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match shown {
            Some(shown) if sandbox.knows(shown) => {}
            _ => return Err(Refusal::unauthorized()),
        }
        match parts.headers.get("stripe-version") {
            Some(version) if version != API_VERSION => {
                Err(Refusal::invalid(format!("This sandbox speaks version {API_VERSION} only.")))
            }
            _ => Ok(Self),
        }
    }
}

pub(super) async fn create_intent(
    _: Bearer,
    State(sandbox): State<Sandbox>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    post(&sandbox, &uri, &headers, &body, Operation::create).await
}

pub(super) async fn confirm_intent(
    _: Bearer,
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    post(&sandbox, &uri, &headers, &body, |form| Operation::confirm(&id, form)).await
}

pub(super) async fn capture_intent(
    _: Bearer,
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    post(&sandbox, &uri, &headers, &body, |form| Operation::capture(&id, form)).await
}

pub(super) async fn cancel_intent(
    _: Bearer,
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    post(&sandbox, &uri, &headers, &body, |form| Operation::cancel(&id, form)).await
}

pub(super) async fn create_refund(
    _: Bearer,
    State(sandbox): State<Sandbox>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    post(&sandbox, &uri, &headers, &body, Operation::refund).await
}

pub(super) async fn intent(
    _: Bearer,
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Heard, Refusal> {
    let form = Form::parse(&query.unwrap_or_default())?;
    let render = rendered(&form);
    let read = sandbox.get(&id, |world| {
        world.intent(&id).map(render).ok_or_else(|| Refusal::no_such("payment_intent", "intent", &id))
    });
    Ok(read.await)
}

pub(super) async fn list_intents(
    _: Bearer,
    State(sandbox): State<Sandbox>,
    RawQuery(query): RawQuery,
) -> Result<Heard, Refusal> {
    let form = Form::parse(&query.unwrap_or_default())?;
    form.only(&["created", "limit", "starting_after"])?;
    let page = Page::parse(&form)?;
    Ok(sandbox.get("list", |world| world.list_intents(&page, rendered(&form))).await)
}

pub(super) async fn search_intents(
    _: Bearer,
    State(sandbox): State<Sandbox>,
    RawQuery(query): RawQuery,
) -> Result<Heard, Refusal> {
    let form = Form::parse(&query.unwrap_or_default())?;
    form.only(&["limit", "page", "query"])?;
    let query = Query::parse(form.get("query").ok_or_else(|| Refusal::missing("query"))?)?;
    let page = Page::parse(&form)?;
    let search = |world: &World| {
        let indexed_until = now_ms().saturating_sub_unsigned(world.knobs.search_lag_ms).div_euclid(1000);
        world.search_intents(&query, &page, indexed_until, rendered(&form))
    };
    Ok(sandbox.get("search", search).await)
}

pub(super) async fn charge(_: Bearer, State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Heard {
    let read = sandbox.get(&id, |world| {
        let intent = world.intent_of_charge(&id);
        let charge =
            intent.and_then(|intent| Some((intent, intent.charges.iter().find(|each| each.id == id)?)));
        let found = charge.map(|(intent, charge)| charge.json(intent));
        found.ok_or_else(|| Refusal::no_such("charge", "id", &id))
    });
    read.await
}

pub(super) async fn list_refunds(
    _: Bearer,
    State(sandbox): State<Sandbox>,
    RawQuery(query): RawQuery,
) -> Result<Heard, Refusal> {
    let form = Form::parse(&query.unwrap_or_default())?;
    form.only(&["created", "limit", "payment_intent", "starting_after"])?;
    let page = Page::parse(&form)?;
    let read = sandbox.get("refunds", |world| world.list_refunds(&page, form.get("payment_intent")));
    Ok(read.await)
}

pub(super) async fn refund(_: Bearer, State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Heard {
    sandbox.get(&id, |world| world.refund(&id).ok_or_else(|| Refusal::no_such("refund", "id", &id))).await
}

pub(super) async fn unknown_url(method: Method, uri: Uri) -> Refusal {
    Refusal::unknown_url(method.as_str(), uri.path())
}

async fn post(
    sandbox: &Sandbox,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    parse: impl FnOnce(&Form) -> Result<Operation, Refusal>,
) -> Response {
    let json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if json {
        return Refusal::invalid("Parameters are sent as application/x-www-form-urlencoded.").into_response();
    }
    let key = match key(headers) {
        Ok(key) => key,
        Err(refusal) => return refusal.into_response(),
    };
    let form = std::str::from_utf8(body)
        .map_err(|_not_utf8| Refusal::invalid("Parameters must be valid UTF-8."))
        .and_then(Form::parse);
    let form = match form {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let operation = parse(&form);
    let response = sandbox.post(uri.path(), key, &form, operation).await.into_response();
    match key {
        // A reset has no headers, whatever is put into it.
        Some(key) => with(response, header::HeaderName::from_static("idempotency-key"), key),
        None => response,
    }
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=KEY_MAX).contains(&key.len()) => Ok(Some(key)),
        _ => Err(Refusal::invalid("Idempotency keys have 1 to 255 printable characters.")),
    }
}

fn rendered(form: &Form) -> fn(&Intent) -> serde_json::Value {
    if form.expands_charge() { Intent::expanded_json } else { Intent::json }
}
