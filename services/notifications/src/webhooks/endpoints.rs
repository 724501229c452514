//! Where messages go: what admins do with endpoints.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use idempotency::Done;
use proto::notifications::v1 as pb;
use proto::notifications::v1::{
    CreateEndpointRequest, CreateEndpointResponse, DeleteEndpointRequest, DeleteEndpointResponse,
    GetEndpointRequest, GetEndpointResponse, ListEndpointsRequest, ListEndpointsResponse,
    RotateSecretRequest, RotateSecretResponse, UpdateEndpointRequest, UpdateEndpointResponse,
};
use reqwest::Url;
use rls::Tx;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::Duration;

use super::call::Call;
use super::error::Error;
use super::message::Subscription;
use super::secret::{Secret, Unopened};
use super::target::Target;
use crate::domain::{Invalid, id};
use crate::store::webhooks::endpoints::{self, Endpoint, NewEndpoint};
use crate::wire::timestamp;

/// Endpoints that there may be.
pub(crate) const ENDPOINTS_MAX: i64 = 100;
/// How long a former secret signs beside its successor.
const ROTATION: Duration = Duration::hours(24);
const SWITCHED_OFF: &str = "switched off by an administrator";

pub(crate) async fn list_endpoints(
    call: &Call,
    ListEndpointsRequest {}: ListEndpointsRequest,
) -> Result<ListEndpointsResponse, Error> {
    call.admin()?;
    let found = call.read(|tx| Box::pin(async move { Ok(endpoints::all(tx, ENDPOINTS_MAX).await?) })).await?;
    Ok(ListEndpointsResponse { endpoints: found.into_iter().map(endpoint).collect() })
}

pub(crate) async fn get_endpoint(
    call: &Call,
    request: GetEndpointRequest,
) -> Result<GetEndpointResponse, Error> {
    call.admin()?;
    let id = id("id", request.id)?;
    let found = call.read(move |tx| Box::pin(async move { Ok(endpoints::endpoint(tx, id).await?) })).await?;
    Ok(GetEndpointResponse { endpoint: Some(endpoint(found.ok_or(Error::NoEndpoint)?)) })
}

pub(crate) async fn create_endpoint(
    call: &Call,
    request: CreateEndpointRequest,
) -> Result<Done<CreateEndpointResponse>, Error> {
    let owner = call.admin()?;
    let events = Subscription::parse("events", request.events)?;
    let url = reachable(call, &request.url).await?;
    let secret = Secret::random()?;
    let (vault, created_at) = (call.webhooks.vault.clone(), call.webhooks.clock.now());
    let signer = call.signer();

    let reply = |(made, sealed): (Endpoint, Vec<u8>)| CreateEndpointResponse {
        endpoint: Some(endpoint(made)),
        secret: sealed_word(&sealed),
    };
    let mut done = call
        .once(reply, move |tx| {
            Box::pin(async move {
                if endpoints::count_locked(tx).await? >= ENDPOINTS_MAX {
                    return Err(Error::TooManyEndpoints { max: ENDPOINTS_MAX });
                }
                let id = endpoints::next_id(tx).await?;
                let sealed = vault.seal(id, &secret)?;
                let new = NewEndpoint {
                    id,
                    owner_id: owner.0,
                    url: &url,
                    events: events.types(),
                    secret_enc: &sealed,
                    created_at,
                };
                let made = endpoints::insert(tx, &new).await?;
                signer.sign(tx, "webhook.created", id, None, Some(told(&made))).await?;
                Ok((made, sealed))
            })
        })
        .await?;
    let id = done.reply.endpoint.as_ref().map_or(0, |made| made.id);
    done.reply.secret = revealed(call, id, &done.reply.secret)?;
    Ok(done)
}

pub(crate) async fn update_endpoint(
    call: &Call,
    request: UpdateEndpointRequest,
) -> Result<Done<UpdateEndpointResponse>, Error> {
    call.admin()?;
    let id = id("id", request.id)?;
    let expected = version(request.expected_version)?;
    let events = request.events.map(|events| Subscription::parse("events", events.types)).transpose()?;
    let url = match request.url {
        Some(url) => Some(reachable(call, &url).await?),
        None => None,
    };
    let is_active = request.is_active;

    let signer = call.signer();
    let reply = |updated| UpdateEndpointResponse { endpoint: Some(endpoint(updated)) };
    let done = call
        .once(reply, move |tx| {
            Box::pin(async move {
                let old = lock(tx, id, expected).await?;
                let new = Endpoint {
                    url: url.unwrap_or_else(|| old.url.clone()),
                    events: events.map_or_else(|| old.events.clone(), |events| events.types().to_vec()),
                    is_active: is_active.unwrap_or(old.is_active),
                    ..old.clone()
                };
                // A change of nothing writes nothing.
                if new == old {
                    return Ok(old);
                }
                let before = told(&old);
                let updated = endpoints::update(tx, &new, SWITCHED_OFF).await?;
                signer.sign(tx, "webhook.updated", id, Some(before), Some(told(&updated))).await?;
                Ok(updated)
            })
        })
        .await?;
    // What waited while it was off.
    call.webhooks.due.notify_one();
    Ok(done)
}

pub(crate) async fn delete_endpoint(
    call: &Call,
    request: DeleteEndpointRequest,
) -> Result<Done<DeleteEndpointResponse>, Error> {
    call.admin()?;
    let id = id("id", request.id)?;
    let expected = version(request.expected_version)?;
    let signer = call.signer();
    call.once(
        |()| DeleteEndpointResponse {},
        move |tx| {
            Box::pin(async move {
                let old = lock(tx, id, expected).await?;
                endpoints::delete(tx, id).await?;
                signer.sign(tx, "webhook.deleted", id, Some(told(&old)), None).await
            })
        },
    )
    .await
}

pub(crate) async fn rotate_secret(
    call: &Call,
    request: RotateSecretRequest,
) -> Result<Done<RotateSecretResponse>, Error> {
    call.admin()?;
    let id = id("id", request.id)?;
    let secret = Secret::random()?;
    let sealed = call.webhooks.vault.seal(id, &secret)?;
    let previous_until = call.webhooks.clock.now() + ROTATION;
    let signer = call.signer();
    let reply = move |sealed: Vec<u8>| RotateSecretResponse {
        secret: sealed_word(&sealed),
        previous_until: Some(timestamp(previous_until)),
    };
    let mut done = call
        .once(reply, move |tx| {
            Box::pin(async move {
                endpoints::lock(tx, id).await?.ok_or(Error::NoEndpoint)?;
                endpoints::rotate(tx, id, &sealed, previous_until).await?;
                signer.sign(tx, "webhook.secret_rotated", id, Some(json!({})), Some(json!({}))).await?;
                Ok(sealed)
            })
        })
        .await?;
    done.reply.secret = revealed(call, id, &done.reply.secret)?;
    Ok(done)
}

/// A secret as it stands in a reply while that is in the database: sealed, as in its endpoint's row.
fn sealed_word(sealed: &[u8]) -> String {
    BASE64_STANDARD.encode(sealed)
}

/// The secret of such a reply as the admin is shown it, the first time and in a repeat.
fn revealed(call: &Call, endpoint_id: i64, sealed: &str) -> Result<String, Error> {
    let sealed = BASE64_STANDARD.decode(sealed).map_err(|_not_ours| Unopened)?;
    Ok(call.webhooks.vault.open(endpoint_id, &sealed)?.reveal())
}

/// What an endpoint is, for people who ask later who made it so. Of the address only where it is, and whether it is
/// another one: the rest may be a password to the receiver.
fn told(of: &Endpoint) -> Value {
    let host = Url::parse(&of.url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let hash = Sha256::digest(&of.url).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    json!({ "host": host, "url_sha256": hash, "events": of.events, "is_active": of.is_active })
}

/// The URL as it is kept, if a message could be sent there now.
async fn reachable(call: &Call, url: &str) -> Result<String, Error> {
    let guard = call.webhooks.sender.guard();
    let target = Target::parse("url", url, guard.reach())?;
    guard.check(&target).await.map_err(|refused| Invalid::value("url", refused.to_string()))?;
    Ok(target.url().to_string())
}

/// Locks an endpoint that is still as the admin saw it.
async fn lock(tx: &mut Tx, id: i64, expected: i64) -> Result<Endpoint, Error> {
    let found = endpoints::lock(tx, id).await?.ok_or(Error::NoEndpoint)?;
    if found.version == expected {
        Ok(found)
    } else {
        Err(Error::StaleVersion { expected, current: found.version })
    }
}

/// Versions start at 1; 0 is a caller who did not say.
fn version(expected: i64) -> Result<i64, Invalid> {
    match expected {
        1.. => Ok(expected),
        0 => Err(Invalid::because("version_required", "expected_version", "must be given")),
        _ => Err(Invalid::value("expected_version", "must be a positive integer")),
    }
}

fn endpoint(row: Endpoint) -> pb::Endpoint {
    pb::Endpoint {
        id: row.id,
        url: row.url,
        events: row.events,
        is_active: row.is_active,
        consecutive_failures: row.consecutive_failures.unsigned_abs(),
        disabled_reason: row.disabled_reason,
        version: row.version,
        created_at: Some(timestamp(row.created_at)),
    }
}
