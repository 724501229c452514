//! One page of the caller's events, and how many there are.

use proto::agenda::v1::{ListEventsRequest, ListEventsResponse};

use super::Call;
use crate::error::Error;
use crate::store::events;
use crate::wire;

pub(crate) async fn list_events(
    call: &Call,
    request: ListEventsRequest,
) -> Result<ListEventsResponse, Error> {
    let owner = call.owner()?;
    let page = wire::page(request.page)?;
    let filter = wire::filter(&request)?;

    let (total, rows) = call
        .read(owner, move |tx| {
            Box::pin(async move {
                let total = events::count(tx, &filter).await?;
                let rows = events::events(tx, &filter, page).await?;
                Ok((total, rows))
            })
        })
        .await?;
    Ok(ListEventsResponse {
        events: rows.into_iter().map(wire::event).collect(),
        total: total.unsigned_abs(),
    })
}
