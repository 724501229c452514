//! What was sent: the log of an endpoint, once more, and by hand.

use std::time::Duration;

use idempotency::{Claim, Done, Finish, Refused, Ticket};
use proto::notifications::v1 as pb;
use proto::notifications::v1::{
    ListDeliveriesRequest, ListDeliveriesResponse, RedeliverRequest, RedeliverResponse, TestEndpointRequest,
    TestEndpointResponse,
};
use serde_json::json;
use uuid::Uuid;

use super::call::Call;
use super::error::Error;
use super::message::Message;
use super::sender::{Envelope, Verdict};
use crate::domain::page::Page;
use crate::domain::{Invalid, id};
use crate::store::webhooks::deliveries::{self, Delivery, Tried};
use crate::store::webhooks::endpoints::{self, Addressee};
use crate::wire::timestamp;

const STATUSES: [&str; 4] = ["pending", "delivered", "failed", "dead"];
/// Lines that a log is counted to: pages reach no further.
const COUNT_MAX: i64 = 10_000;
/// What a test leaves of the caller's patience to write down how it went.
const TEST_RESERVE: Duration = Duration::from_secs(1);

pub(crate) async fn list_deliveries(
    call: &Call,
    request: ListDeliveriesRequest,
) -> Result<ListDeliveriesResponse, Error> {
    call.admin()?;
    let endpoint_id = id("endpoint_id", request.endpoint_id)?;
    let page = Page::parse(request.page, request.limit)?;
    let status = match request.status {
        Some(word) => Some(status(&word)?),
        None => None,
    };
    let (rows, total) = call
        .read(move |tx| {
            Box::pin(async move {
                endpoints::endpoint(tx, endpoint_id).await?.ok_or(Error::NoEndpoint)?;
                let rows = deliveries::page(tx, endpoint_id, status, page.limit(), page.offset()).await?;
                let total = deliveries::count(tx, endpoint_id, status, COUNT_MAX).await?;
                Ok((rows, total))
            })
        })
        .await?;
    Ok(ListDeliveriesResponse {
        deliveries: rows.into_iter().map(delivery).collect(),
        total: total.unsigned_abs(),
    })
}

pub(crate) async fn redeliver(
    call: &Call,
    request: RedeliverRequest,
) -> Result<Done<RedeliverResponse>, Error> {
    call.admin()?;
    let id: Uuid =
        request.delivery_id.parse().map_err(|_syntax| Invalid::value("delivery_id", "must be a UUID"))?;
    let now = call.webhooks.clock.now();
    let signer = call.signer();
    let reply = |due| RedeliverResponse { delivery: Some(delivery(due)) };
    let done = call
        .once(reply, move |tx| {
            Box::pin(async move {
                if !deliveries::is_endpoint_active(tx, id).await?.ok_or(Error::NoDelivery)? {
                    return Err(Error::EndpointDisabled);
                }
                let due = deliveries::redeliver(tx, id, now).await?.ok_or(Error::NoDelivery)?;
                let after = json!({ "delivery_id": id.to_string() });
                signer.sign(tx, "webhook.redelivered", due.endpoint_id, Some(json!({})), Some(after)).await?;
                Ok(due)
            })
        })
        .await?;
    call.webhooks.due.notify_one();
    Ok(done)
}

/// Sends a message that says nothing, whether or not the endpoint is switched on. How it goes changes nothing about
/// the endpoint, and it is not tried again.
pub(crate) async fn test_endpoint(
    call: &Call,
    request: TestEndpointRequest,
) -> Result<Done<TestEndpointResponse>, Error> {
    call.admin()?;
    let started = tokio::time::Instant::now();
    let endpoint_id = id("id", request.id)?;
    let (ticket, addressee) = match begin_test(call, endpoint_id).await? {
        Begun::Before(reply) => return Ok(Done { reply, replayed: true }),
        Begun::Now { ticket, addressee } => (ticket, addressee),
    };

    let now = call.webhooks.clock.now();
    let message = Message::test(endpoint_id, now);
    let envelope = Envelope {
        secrets: call.webhooks.secrets(endpoint_id, &addressee, now)?,
        url: addressee.url,
        id: message.id,
        body: message.body.clone(),
    };
    let within = call.within.saturating_sub(started.elapsed()).saturating_sub(TEST_RESERVE);
    let outcome = call.webhooks.sender.send(&envelope, now, within).await;

    let (status, delivered_at) = match outcome.verdict {
        Verdict::Delivered => ("delivered", Some(call.webhooks.clock.now())),
        Verdict::Gone | Verdict::Failed { .. } => ("dead", None),
    };
    let call_left = Call { within: call.within.saturating_sub(started.elapsed()), ..call.clone() };
    let reply = call_left
        .write(move |tx| {
            Box::pin(async move {
                // It may have been deleted meanwhile.
                endpoints::lock(tx, endpoint_id).await?.ok_or(Error::NoEndpoint)?;
                let tried = Tried {
                    id: Uuid::now_v7(),
                    endpoint_id,
                    status,
                    last_status: outcome.status,
                    last_error: outcome.error.as_deref(),
                    last_latency_ms: outcome.latency_ms,
                    created_at: now,
                    delivered_at,
                };
                let tried = deliveries::insert_tried(tx, message.stored(), &tried).await?;
                let reply = TestEndpointResponse { delivery: Some(delivery(tried)) };
                if let Some(ticket) = ticket
                    && ticket.finish(tx, &reply).await? == Finish::Overtaken
                {
                    return Err(Refused::InFlight.into());
                }
                Ok(reply)
            })
        })
        .await?;
    Ok(Done { reply, replayed: false })
}

/// How a test begins.
enum Begun {
    /// It was done already.
    Before(TestEndpointResponse),
    Now {
        /// The right to keep the answer for repeats, when those can be told apart.
        ticket: Option<Ticket>,
        addressee: Addressee,
    },
}

/// Claims the request before anything is sent: a repeat must not send it again.
async fn begin_test(call: &Call, endpoint_id: i64) -> Result<Begun, Error> {
    let repeat = call.repeat.clone();
    call.write(move |tx| {
        Box::pin(async move {
            let claimed = match &repeat {
                Some(request) => Some(idempotency::claim(tx, request).await?),
                None => None,
            };
            let ticket = match claimed {
                None => None,
                Some(Claim::Fresh(ticket)) => Some(ticket),
                Some(Claim::Done(stored)) => return Ok(Begun::Before(stored.replay(tx)?)),
                Some(Claim::InFlight) => return Err(Refused::InFlight.into()),
                Some(Claim::OtherRequest) => return Err(Refused::OtherRequest.into()),
            };
            let addressee = endpoints::addressee(tx, endpoint_id).await?.ok_or(Error::NoEndpoint)?;
            Ok(Begun::Now { ticket, addressee })
        })
    })
    .await
}

fn status(word: &str) -> Result<&'static str, Invalid> {
    let known = STATUSES.into_iter().find(|known| *known == word);
    known.ok_or_else(|| Invalid::value("status", format!("must be one of {}", STATUSES.join(", "))))
}

fn delivery(row: Delivery) -> pb::Delivery {
    pb::Delivery {
        id: row.id.to_string(),
        endpoint_id: row.endpoint_id,
        event_id: row.event_id.to_string(),
        r#type: row.r#type,
        status: row.status,
        attempts: row.attempts.unsigned_abs(),
        next_attempt_at: row.next_attempt_at.map(timestamp),
        last_status: row.last_status,
        last_error: row.last_error,
        last_latency_ms: row.last_latency_ms.map(i32::unsigned_abs),
        created_at: Some(timestamp(row.created_at)),
        delivered_at: row.delivered_at.map(timestamp),
    }
}
