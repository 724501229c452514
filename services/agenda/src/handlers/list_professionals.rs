//! One page of the caller's professionals, by name, and how many there are.

use proto::agenda::v1::{ListProfessionalsRequest, ListProfessionalsResponse};

use super::Call;
use crate::error::Error;
use crate::store::professionals;
use crate::wire;

pub(crate) async fn list_professionals(
    call: &Call,
    request: ListProfessionalsRequest,
) -> Result<ListProfessionalsResponse, Error> {
    let owner = call.owner()?;
    let page = wire::page(request.page)?;
    let specialty = wire::specialty(request.specialty.as_deref())?;

    let (total, rows) = call
        .read(owner, move |tx| {
            Box::pin(async move {
                let total = professionals::count(tx, specialty).await?;
                let rows = professionals::professionals(tx, specialty, page).await?;
                Ok((total, rows))
            })
        })
        .await?;
    Ok(ListProfessionalsResponse {
        professionals: rows.into_iter().map(wire::professional).collect(),
        total: total.unsigned_abs(),
    })
}
