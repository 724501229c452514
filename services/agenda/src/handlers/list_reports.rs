//! One page of the reports that the caller sent or received, and how many there are.

use proto::agenda::v1::{ListReportsRequest, ListReportsResponse};

use super::Call;
use crate::error::Error;
use crate::store::reports;
use crate::wire;

pub(crate) async fn list_reports(
    call: &Call,
    request: ListReportsRequest,
) -> Result<ListReportsResponse, Error> {
    let owner = call.owner()?;
    let page = wire::page(request.page)?;
    let role = wire::role(request.role.as_deref())?;

    let (total, rows) = call
        .read(owner, move |tx| {
            Box::pin(async move {
                let total = reports::count(tx, role).await?;
                let rows = reports::reports(tx, role, page).await?;
                Ok((total, rows))
            })
        })
        .await?;
    Ok(ListReportsResponse {
        reports: rows.into_iter().map(wire::report).collect(),
        total: total.unsigned_abs(),
    })
}
