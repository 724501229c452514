//! A new event in the caller's agenda.

use events::{Event, Fact};
use idempotency::Done;
use proto::agenda::v1::{CreateEventRequest, CreateEventResponse};
use proto::events::v1::AgendaEventFact;

use super::{Call, own, record};
use crate::domain::{EventId, ProfessionalId};
use crate::error::Error;
use crate::store::{events as store, professionals};
use crate::wire;

pub(crate) async fn create_event(
    call: &Call,
    request: CreateEventRequest,
) -> Result<Done<CreateEventResponse>, Error> {
    let owner = call.owner()?;
    let fields = wire::event_fields(request.fields)?;
    let now = super::now();

    call.once(
        owner,
        |event| CreateEventResponse { event: Some(wire::event(event)), receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                if let Some(professional) = fields.professional
                    && !professionals::book(tx, professional).await?
                {
                    return Err(Error::unknown_professional());
                }
                let (id, version) = store::insert(tx, owner.id, &fields, now).await?;
                let fact = AgendaEventFact {
                    event_id: id,
                    user_id: owner.id.0,
                    professional_id: fields.professional.map(ProfessionalId::get),
                };
                record(tx, &Event::new(&owner.actor, now, version, Fact::AgendaEventCreated(fact))).await?;
                own::event(tx, EventId::parse("id", id)?).await
            })
        },
    )
    .await
}
