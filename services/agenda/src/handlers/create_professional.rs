//! A new coffee master of the caller's.

use events::{Event, Fact};
use idempotency::Done;
use proto::agenda::v1::{CreateProfessionalRequest, CreateProfessionalResponse};
use proto::events::v1::ProfessionalFact;

use super::{Call, own, record};
use crate::domain::ProfessionalId;
use crate::error::Error;
use crate::store::professionals as store;
use crate::wire;

pub(crate) async fn create_professional(
    call: &Call,
    request: CreateProfessionalRequest,
) -> Result<Done<CreateProfessionalResponse>, Error> {
    let owner = call.owner()?;
    let fields = wire::professional_fields(request.fields)?;
    let now = super::now();

    call.once(
        owner,
        |professional| CreateProfessionalResponse {
            professional: Some(wire::professional(professional)),
            receipts: Vec::new(),
        },
        move |tx| {
            Box::pin(async move {
                let (id, version) = store::insert(tx, owner.id, &fields, now).await?;
                let fact = ProfessionalFact { professional_id: id, user_id: owner.id.0 };
                record(tx, &Event::new(&owner.actor, now, version, Fact::ProfessionalCreated(fact))).await?;
                own::professional(tx, ProfessionalId::parse("id", id)?).await
            })
        },
    )
    .await
}
