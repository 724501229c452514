//! One professional.

use proto::agenda::v1::{GetProfessionalRequest, GetProfessionalResponse};

use super::{Call, own};
use crate::domain::ProfessionalId;
use crate::error::Error;
use crate::wire;

pub(crate) async fn get_professional(
    call: &Call,
    request: GetProfessionalRequest,
) -> Result<GetProfessionalResponse, Error> {
    let owner = call.owner()?;
    let id = ProfessionalId::parse("id", request.id)?;
    let professional = call.read(owner, move |tx| Box::pin(own::professional(tx, id))).await?;
    Ok(GetProfessionalResponse { professional: Some(wire::professional(professional)) })
}
