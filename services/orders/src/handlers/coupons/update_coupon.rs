//! Every field of a coupon replaced. What was used up stays so.

use idempotency::Done;
use proto::orders::v1::{CouponResponse, UpdateCouponRequest};

use super::changed;
use crate::domain::Version;
use crate::error::{Error, Missing};
use crate::handlers::{Call, check_version, now};
use crate::store::coupons;
use crate::wire;

pub(crate) async fn update_coupon(
    call: &Call,
    request: UpdateCouponRequest,
) -> Result<Done<CouponResponse>, Error> {
    let staff = call.staff()?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let fields = wire::coupon::fields(request.coupon)?;
    let (now, request_id) = (now(), call.request_id.clone());

    call.once_as(staff, move |tx| {
        Box::pin(async move {
            let old = coupons::lock(tx, &fields.code).await?.ok_or(Error::NotFound(Missing::Coupon))?;
            check_version(expected, old.version)?;
            let row = coupons::update(tx, &fields).await?;
            changed(tx, &staff, now, &row).await?;
            audit::record(
                tx,
                &audit::Entry {
                    actor: staff,
                    action: "coupon.updated",
                    entity: "coupon",
                    entity_id: row.code.clone(),
                    before: Some(wire::coupon::audited(&old)),
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
