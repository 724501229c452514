//! Coupons, for staff: one use case per file.

pub(crate) mod create_coupon;
pub(crate) mod get_coupon;
pub(crate) mod list_coupons;
pub(crate) mod update_coupon;

use events::{Event, Fact};
use proto::events::v1::CouponChanged;
use rls::{Caller, Tx};
use time::OffsetDateTime;

use super::record;
use crate::error::Error;
use crate::store::coupons::CouponRow;

/// Says that a coupon is another one now.
async fn changed(tx: &mut Tx, staff: &Caller, now: OffsetDateTime, row: &CouponRow) -> Result<(), Error> {
    let fact = Fact::CouponChanged(CouponChanged { code: row.code.clone() });
    record(tx, &Event::new(staff, now, row.version, fact)).await
}
