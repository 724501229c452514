//! An event taken out of the caller's agenda.

use events::{Event, Fact};
use idempotency::Done;
use proto::agenda::v1::{DeleteEventRequest, DeleteEventResponse};
use proto::events::v1::AgendaEventFact;

use super::{Call, check_version, record};
use crate::domain::{EventId, Version};
use crate::error::{Error, Missing};
use crate::store::events as store;

pub(crate) async fn delete_event(
    call: &Call,
    request: DeleteEventRequest,
) -> Result<Done<DeleteEventResponse>, Error> {
    let owner = call.owner()?;
    let id = EventId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let now = super::now();

    call.once(
        owner,
        |()| DeleteEventResponse { receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                let old = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Event))?;
                check_version(expected, old.version)?;
                store::delete(tx, id).await?;
                let fact = AgendaEventFact {
                    event_id: id.get(),
                    user_id: owner.id.0,
                    professional_id: old.professional_id,
                };
                let version = old.version + 1;
                record(tx, &Event::new(&owner.actor, now, version, Fact::AgendaEventDeleted(fact))).await
            })
        },
    )
    .await
}
