//! The contract's messages: read into domain types, written from rows.

pub(crate) mod cart;
pub(crate) mod checkout;
pub(crate) mod coupon;
pub(crate) mod order;
pub(crate) mod payment;
pub(crate) mod stock;

use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::domain::Invalid;

/// A moment of the years 2000 to 2100, to the millisecond.
pub(crate) fn time(field: &str, at: Timestamp) -> Result<OffsetDateTime, Invalid> {
    let nanos = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    let at = at.filter(|at| (2000..=2100).contains(&at.year()));
    let at = at.ok_or_else(|| Invalid::value(field, "must be in the years 2000 to 2100"))?;
    Ok(at.replace_nanosecond(u32::from(at.millisecond()) * 1_000_000).expect("a whole millisecond is valid"))
}

/// A moment, exactly.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    let nanos =
        i32::try_from(at.nanosecond()).expect("a second has fewer nanoseconds than 31 bits can count");
    Timestamp { seconds: at.unix_timestamp(), nanos }
}
