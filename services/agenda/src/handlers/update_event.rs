//! Every field of an event replaced.

use events::{Event, Fact};
use idempotency::Done;
use proto::agenda::v1::{UpdateEventRequest, UpdateEventResponse};
use proto::events::v1::AgendaEventFact;

use super::{Call, check_version, own, record};
use crate::domain::{EventId, ProfessionalId, Version};
use crate::error::{Error, Missing};
use crate::store::{events as store, professionals};
use crate::wire;

pub(crate) async fn update_event(
    call: &Call,
    request: UpdateEventRequest,
) -> Result<Done<UpdateEventResponse>, Error> {
    let owner = call.owner()?;
    let id = EventId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let fields = wire::event_fields(request.fields)?;
    let now = super::now();

    call.once(
        owner,
        |event| UpdateEventResponse { event: Some(wire::event(event)), receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                // Professionals before their events, everywhere: whoever deletes one locks in that order.
                let bookable = match fields.professional {
                    Some(professional) => professionals::book(tx, professional).await?,
                    None => true,
                };
                let old = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Event))?;
                check_version(expected, old.version)?;
                if !bookable {
                    return Err(Error::unknown_professional());
                }
                if old.is(&fields) {
                    return Ok(old);
                }
                let version = store::update(tx, id, &fields, now).await?;
                let fact = AgendaEventFact {
                    event_id: id.get(),
                    user_id: owner.id.0,
                    professional_id: fields.professional.map(ProfessionalId::get),
                };
                record(tx, &Event::new(&owner.actor, now, version, Fact::AgendaEventUpdated(fact))).await?;
                own::event(tx, id).await
            })
        },
    )
    .await
}
