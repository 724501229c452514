//! A new coupon.

use idempotency::Done;
use proto::orders::v1::{CouponResponse, CreateCouponRequest};

use super::changed;
use crate::error::Error;
use crate::handlers::{Call, now};
use crate::store::coupons;
use crate::wire;

pub(crate) async fn create_coupon(
    call: &Call,
    request: CreateCouponRequest,
) -> Result<Done<CouponResponse>, Error> {
    let staff = call.staff()?;
    let fields = wire::coupon::fields(request.coupon)?;
    let (now, request_id) = (now(), call.request_id.clone());

    call.once_as(staff, move |tx| {
        Box::pin(async move {
            let row = coupons::insert(tx, &fields).await?;
            changed(tx, &staff, now, &row).await?;
            audit::record(
                tx,
                &audit::Entry {
                    actor: staff,
                    action: "coupon.created",
                    entity: "coupon",
                    entity_id: row.code.clone(),
                    before: None,
                    after: Some(wire::coupon::audited(&row)),
                    request_id,
                },
            )
            .await?;
            Ok(CouponResponse { coupon: Some(wire::coupon::coupon(row)), receipts: Vec::new() })
        })
    })
    .await
}
