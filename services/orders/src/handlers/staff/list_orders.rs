//! Everybody's orders, newest first.

use proto::orders::v1::{AdminListOrdersRequest, AdminListOrdersResponse};

use crate::domain::page::Page;
use crate::domain::{Invalid, order};
use crate::error::Error;
use crate::handlers::Call;
use crate::store::staff_orders::{self as store, COUNTED_MAX, Selection};
use crate::wire;

const NUMBER_BYTES_MAX: usize = 40;

pub(crate) async fn list_orders(
    call: &Call,
    request: AdminListOrdersRequest,
) -> Result<AdminListOrdersResponse, Error> {
    let staff = call.staff()?;
    let page = Page::parse(request.page, request.per_page)?;
    let filter = wire::order::filter(&request.statuses, request.from, request.to)?;
    let user = request.user_id.map(|id| order::user("user_id", id)).transpose()?;
    if request.number.as_ref().is_some_and(|number| number.len() > NUMBER_BYTES_MAX) {
        let rule = format!("must be at most {NUMBER_BYTES_MAX} characters");
        return Err(Invalid::value("number", rule).into());
    }
    let selection = Selection { filter, user, number: request.number };
    let (rows, total) = call
        .read_as(staff, move |tx| {
            Box::pin(async move {
                let rows = store::orders(tx, &selection, page).await?;
                Ok((rows, store::count(tx, &selection).await?))
            })
        })
        .await?;
    Ok(AdminListOrdersResponse {
        orders: rows.into_iter().map(wire::order::summary).collect(),
        total: total.min(COUNTED_MAX).unsigned_abs(),
        total_exact: total <= COUNTED_MAX,
    })
}
