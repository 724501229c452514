//! Every SQL statement of the service, one function per statement, named for the question it answers.
//!
//! Rows that a caller may not see are not there: the policies of the migrations see to that, so that a buyer's list
//! names no buyer. The search path of the service's login holds the schemas `orders` and `app`.

pub(crate) mod carts;
pub(crate) mod coupons;

/// Name and text of every statement, for the test that runs them as strangers.
pub(crate) fn statements() -> Vec<(&'static str, &'static str)> {
    [carts::STATEMENTS, coupons::STATEMENTS].concat()
}
