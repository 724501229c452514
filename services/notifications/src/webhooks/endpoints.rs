//! Where messages go: what admins do with endpoints.

use proto::notifications::v1 as pb;
use proto::notifications::v1::{
    CreateEndpointRequest, CreateEndpointResponse, DeleteEndpointRequest, DeleteEndpointResponse,
    GetEndpointRequest, GetEndpointResponse, ListEndpointsRequest, ListEndpointsResponse,
    RotateSecretRequest, RotateSecretResponse, UpdateEndpointRequest, UpdateEndpointResponse,
};
use rls::Tx;
use time::Duration;

use super::call::Call;
use super::error::Error;
use super::message::Subscription;
use super::secret::Secret;
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
) -> Result<CreateEndpointResponse, Error> {
    let owner = call.admin()?;
    let events = Subscription::parse("events", request.events)?;
    let url = reachable(call, &request.url).await?;
    let secret = Secret::random()?;
    let shown = secret.reveal();
    let (vault, created_at) = (call.webhooks.vault.clone(), call.webhooks.clock.now());

    let made = call
        .write(move |tx| {
            Box::pin(async move {
                if endpoints::count_locked(tx).await? >= ENDPOINTS_MAX {
                    return Err(Error::TooManyEndpoints { max: ENDPOINTS_MAX });
                }
                let id = endpoints::next_id(tx).await?;
                let new = NewEndpoint {
                    id,
                    owner_id: owner.0,
                    url: &url,
                    events: events.types(),
                    secret_enc: &vault.seal(id, &secret)?,
                    created_at,
                };
                Ok(endpoints::insert(tx, &new).await?)
            })
        })
        .await?;
    Ok(CreateEndpointResponse { endpoint: Some(endpoint(made)), secret: shown })
}

pub(crate) async fn update_endpoint(
    call: &Call,
    request: UpdateEndpointRequest,
) -> Result<UpdateEndpointResponse, Error> {
    call.admin()?;
    let id = id("id", request.id)?;
    let expected = version(request.expected_version)?;
    let events = request.events.map(|events| Subscription::parse("events", events.types)).transpose()?;
    let url = match request.url {
        Some(url) => Some(reachable(call, &url).await?),
        None => None,
    };
    let is_active = request.is_active;

    let updated = call
        .write(move |tx| {
            Box::pin(async move {
                let old = lock(tx, id, expected).await?;
                let new = Endpoint {
                    url: url.unwrap_or_else(|| old.url.clone()),
                    events: events.map_or_else(|| old.events.clone(), |events| events.types().to_vec()),
                    is_active: is_active.unwrap_or(old.is_active),
                    ..old.clone()
                };
                // A change of nothing writes nothing.
                if new == old { Ok(old) } else { Ok(endpoints::update(tx, &new, SWITCHED_OFF).await?) }
            })
        })
        .await?;
    // What waited while it was off.
    call.webhooks.due.notify_one();
    Ok(UpdateEndpointResponse { endpoint: Some(endpoint(updated)) })
}

pub(crate) async fn delete_endpoint(
    call: &Call,
    request: DeleteEndpointRequest,
) -> Result<DeleteEndpointResponse, Error> {
    call.admin()?;
    let id = id("id", request.id)?;
    let expected = version(request.expected_version)?;
    call.write(move |tx| {
        Box::pin(async move {
            lock(tx, id, expected).await?;
            Ok(endpoints::delete(tx, id).await?)
        })
    })
    .await?;
    Ok(DeleteEndpointResponse {})
}

pub(crate) async fn rotate_secret(
    call: &Call,
    request: RotateSecretRequest,
) -> Result<RotateSecretResponse, Error> {
    call.admin()?;
    let id = id("id", request.id)?;
    let secret = Secret::random()?;
    let sealed = call.webhooks.vault.seal(id, &secret)?;
    let previous_until = call.webhooks.clock.now() + ROTATION;
    call.write(move |tx| {
        Box::pin(async move {
            endpoints::lock(tx, id).await?.ok_or(Error::NoEndpoint)?;
            Ok(endpoints::rotate(tx, id, &sealed, previous_until).await?)
        })
    })
    .await?;
    Ok(RotateSecretResponse { secret: secret.reveal(), previous_until: Some(timestamp(previous_until)) })
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
