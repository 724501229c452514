//! One event.

use proto::agenda::v1::{GetEventRequest, GetEventResponse};

use super::{Call, own};
use crate::domain::EventId;
use crate::error::Error;
use crate::wire;

pub(crate) async fn get_event(call: &Call, request: GetEventRequest) -> Result<GetEventResponse, Error> {
    let owner = call.owner()?;
    let id = EventId::parse("id", request.id)?;
    let event = call.read(owner, move |tx| Box::pin(own::event(tx, id))).await?;
    Ok(GetEventResponse { event: Some(wire::event(event)) })
}
