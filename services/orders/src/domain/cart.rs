//! What a cart may hold, and for how long.

use time::Duration;

use super::Invalid;
use crate::handlers::Principal;

/// Lines that a buyer may fill; a merge may leave more, so that little is lost.
pub(crate) const LINES_MAX: i64 = 50;
/// Lines that a cart may hold at all: what several merges leave.
pub(crate) const MERGED_LINES_MAX: usize = 200;
/// Units of one line.
pub(crate) const UNITS_MAX: i32 = 99;

const USER_LIFETIME: Duration = Duration::days(30);
const GUEST_LIFETIME: Duration = Duration::days(7);

/// How long a cart is kept that nobody touches.
pub(crate) fn lifetime(who: Principal) -> Duration {
    match who {
        Principal::User(_) => USER_LIFETIME,
        Principal::Guest(_) => GUEST_LIFETIME,
    }
}

/// Units to be added, or to be there afterwards: 1 to 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantity(i32);

impl Quantity {
    /// Accepts what a line may hold.
    pub(crate) fn parse(field: &str, quantity: i32) -> Result<Self, Invalid> {
        if (1..=UNITS_MAX).contains(&quantity) {
            Ok(Self(quantity))
        } else {
            Err(Invalid::because("line_quantity", field, "must be 1 to 99"))
        }
    }

    pub(crate) fn get(self) -> i32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_1_to_99() {
        for quantity in [1, 99] {
            assert_eq!(Quantity::parse("f", quantity).unwrap().get(), quantity);
        }
        for quantity in [0, -1, 100, i32::MIN, i32::MAX] {
            assert_eq!(Quantity::parse("f", quantity).unwrap_err().reason, "line_quantity");
        }
    }
}
