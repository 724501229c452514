//! One page of the stock, and how many levels there are.

use proto::orders::v1::{ListStockRequest, ListStockResponse};

use crate::domain::page::Page;
use crate::error::Error;
use crate::handlers::Call;
use crate::store::stock;
use crate::wire;

pub(crate) async fn list_stock(call: &Call, request: ListStockRequest) -> Result<ListStockResponse, Error> {
    let staff = call.staff()?;
    let page = Page::parse(request.page, request.per_page)?;
    let filter = wire::stock::filter(&request)?;

    let (total, rows) = call
        .read_as(staff, move |tx| {
            Box::pin(async move {
                let total = stock::count(tx, &filter).await?;
                let rows = stock::levels(tx, &filter, page).await?;
                Ok((total, rows))
            })
        })
        .await?;
    Ok(ListStockResponse {
        levels: rows.into_iter().map(wire::stock::level).collect(),
        total: total.unsigned_abs(),
    })
}
