//! One page of all coupons, and how many there are.

use proto::orders::v1::{ListCouponsRequest, ListCouponsResponse};

use crate::domain::page::Page;
use crate::error::Error;
use crate::handlers::Call;
use crate::store::coupons;
use crate::wire;

pub(crate) async fn list_coupons(
    call: &Call,
    request: ListCouponsRequest,
) -> Result<ListCouponsResponse, Error> {
    let staff = call.staff()?;
    let page = Page::parse(request.page, request.per_page)?;
    let (total, rows) = call
        .read_as(staff, move |tx| {
            Box::pin(async move {
                let total = coupons::count(tx).await?;
                let rows = coupons::coupons(tx, page).await?;
                Ok((total, rows))
            })
        })
        .await?;
    Ok(ListCouponsResponse {
        coupons: rows.into_iter().map(wire::coupon::coupon).collect(),
        total: total.unsigned_abs(),
    })
}
