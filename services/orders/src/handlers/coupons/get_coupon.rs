//! One coupon.

use proto::orders::v1::{CouponResponse, GetCouponRequest};

use crate::domain::coupon::Code;
use crate::error::{Error, Missing};
use crate::handlers::Call;
use crate::store::coupons;
use crate::wire;

pub(crate) async fn get_coupon(call: &Call, request: GetCouponRequest) -> Result<CouponResponse, Error> {
    let staff = call.staff()?;
    let code = Code::parse("code", &request.code)?;
    let row = call
        .read_as(staff, move |tx| {
            Box::pin(async move { coupons::coupon(tx, &code).await?.ok_or(Error::NotFound(Missing::Coupon)) })
        })
        .await?;
    Ok(CouponResponse { coupon: Some(wire::coupon::coupon(row)), receipts: Vec::new() })
}
