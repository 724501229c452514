//! Every field of a professional replaced.

use events::{Event, Fact};
use idempotency::Done;
use proto::agenda::v1::{UpdateProfessionalRequest, UpdateProfessionalResponse};
use proto::events::v1::ProfessionalFact;

use super::{Call, check_version, own, record};
use crate::domain::{ProfessionalId, Version};
use crate::error::{Error, Missing};
use crate::store::professionals as store;
use crate::wire;

pub(crate) async fn update_professional(
    call: &Call,
    request: UpdateProfessionalRequest,
) -> Result<Done<UpdateProfessionalResponse>, Error> {
    let owner = call.owner()?;
    let id = ProfessionalId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let fields = wire::professional_fields(request.fields)?;
    let now = super::now();

    call.once(
        owner,
        |professional| UpdateProfessionalResponse {
            professional: Some(wire::professional(professional)),
            receipts: Vec::new(),
        },
        move |tx| {
            Box::pin(async move {
                let old = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Professional))?;
                check_version(expected, old.version)?;
                if old.is(&fields) {
                    return Ok(old);
                }
                let version = store::update(tx, id, &fields, now).await?;
                let fact = ProfessionalFact { professional_id: id.get(), user_id: owner.id.0 };
                record(tx, &Event::new(&owner.actor, now, version, Fact::ProfessionalUpdated(fact))).await?;
                own::professional(tx, id).await
            })
        },
    )
    .await
}
