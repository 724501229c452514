//! A coffee master taken out; refused while events with them are ahead, remembered by those that were.

use events::{Event, Fact};
use idempotency::Done;
use proto::agenda::v1::{DeleteProfessionalRequest, DeleteProfessionalResponse};
use proto::events::v1::ProfessionalFact;

use super::{Call, check_version, record};
use crate::domain::{ProfessionalId, Version};
use crate::error::{Error, Missing};
use crate::store::professionals as store;

pub(crate) async fn delete_professional(
    call: &Call,
    request: DeleteProfessionalRequest,
) -> Result<Done<DeleteProfessionalResponse>, Error> {
    let owner = call.owner()?;
    let id = ProfessionalId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let now = super::now();

    call.once(
        owner,
        |()| DeleteProfessionalResponse { receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                let old = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Professional))?;
                check_version(expected, old.version)?;
                if store::is_booked(tx, id, now).await? {
                    return Err(Error::ProfessionalBooked);
                }
                store::delete(tx, id).await?;
                let fact = ProfessionalFact { professional_id: id.get(), user_id: owner.id.0 };
                let version = old.version + 1;
                record(tx, &Event::new(&owner.actor, now, version, Fact::ProfessionalDeleted(fact))).await
            })
        },
    )
    .await
}
