//! How the sandbox is set up, watched and cleared.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{found, json as answer};
use crate::error::Refusal;
use crate::form::Form;
use crate::intent::Disputed;
use crate::knobs::Knobs;
use crate::sandbox::Sandbox;

const EVENTS_PAGE_MAX: i64 = 1000;

pub(super) async fn config(State(sandbox): State<Sandbox>) -> Response {
    let knobs = sandbox.world().knobs.clone();
    shown(&knobs)
}

/// Replaces the whole configuration; what is left out is as at the start.
pub(super) async fn set_config(State(sandbox): State<Sandbox>, body: Bytes) -> Response {
    match Knobs::parse(&body) {
        Ok(knobs) => {
            sandbox.set_knobs(knobs.clone());
            shown(&knobs)
        }
        Err(problem) => answer(400, json!({ "error": { "message": problem } }).to_string()),
    }
}

/// `?order_id=` for one order's money, else everything, from after `?after=`.
pub(super) async fn ledger(
    State(sandbox): State<Sandbox>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let form = Form::parse(&query.unwrap_or_default())?;
    form.only(&["after", "order_id"])?;
    let after = form.integer("after")?.map_or(0, i64::unsigned_abs);
    let world = sandbox.world();
    let ledger = match form.get("order_id") {
        Some(order) => world.ledger_of(order),
        None => world.ledger_after(after),
    };
    drop(world);
    Ok(found(&ledger))
}

/// Events, oldest first; `?order_id=`, `?type=`, `?after=`, `?limit=`.
pub(super) async fn events(
    State(sandbox): State<Sandbox>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let form = Form::parse(&query.unwrap_or_default())?;
    form.only(&["after", "limit", "order_id", "type"])?;
    let after = form.integer("after")?.map_or(0, i64::unsigned_abs);
    let limit = form.integer("limit")?.unwrap_or(EVENTS_PAGE_MAX).clamp(1, EVENTS_PAGE_MAX);
    let limit = usize::try_from(limit).unwrap_or(1);
    let (order, kind) = (form.get("order_id"), form.get("type"));
    let world = sandbox.world();
    let mut wanted = world.events.after(after).filter(|event| {
        order.is_none_or(|order| event.order_id.as_deref() == Some(order))
            && kind.is_none_or(|kind| event.kind == kind)
    });
    let page: Vec<(u64, Value)> =
        wanted.by_ref().take(limit).map(|event| (event.serial, event.json())).collect();
    let next = wanted.next().and(page.last()).map(|(serial, _)| *serial);
    let data: Vec<Value> = page.into_iter().map(|(_, json)| json).collect();
    Ok(found(&json!({ "object": "list", "data": data, "next": next })))
}

/// Forgets everything, also the configuration.
pub(super) async fn reset(State(sandbox): State<Sandbox>) -> Response {
    sandbox.reset();
    found(&json!({}))
}

/// A holder disputes a charge (`open`), which then ends (`won` or `lost`, as the shop sees it).
pub(super) async fn dispute(
    State(sandbox): State<Sandbox>,
    Path((id, what)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let disputed = match what.as_str() {
        "open" => Disputed::Opened,
        "won" => Disputed::Won,
        "lost" => Disputed::Lost,
        _ => return Err(Refusal::unknown_url("POST", &format!("/__sandbox/disputes/{id}/{what}"))),
    };
    let intent = sandbox.happen(&id, |intent, act| intent.disputed(disputed, act))?;
    Ok(found(&intent.json()))
}

/// The buyer's bank sends a refund back.
pub(super) async fn refund_fails(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let owner = sandbox.world().intent_of_refund(&id).map(str::to_owned);
    let owner = owner.ok_or_else(|| Refusal::no_such("refund", "id", &id))?;
    let intent = sandbox.happen(&owner, |intent, _| intent.refund_failed(&id))?;
    Ok(found(&intent.json()))
}

pub(super) async fn live() -> Response {
    found(&json!({ "status": "live" }))
}

fn shown(knobs: &Knobs) -> Response {
    answer(200, serde_json::to_string(knobs).expect("knobs have string keys and plain values"))
}
