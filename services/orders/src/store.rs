//! Every SQL statement of the service, one function per statement, named for the question it answers.
//!
//! Rows that a caller may not see are not there: the policies of the migrations see to that, so that a buyer's list
//! names no buyer. The search path of the service's login holds the schemas `orders` and `app`.

pub(crate) mod carts;
pub(crate) mod checkout;
pub(crate) mod coupons;
pub(crate) mod erasure;
pub(crate) mod export;
pub(crate) mod holds;
pub(crate) mod merges;
pub(crate) mod order_changes;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod refunds;
pub(crate) mod seed;
pub(crate) mod shipping;
pub(crate) mod staff_orders;
pub(crate) mod stock;
pub(crate) mod sweep;

/// Name and text of every statement, for the test that runs them as strangers.
pub(crate) fn statements() -> Vec<(&'static str, &'static str)> {
    [
        carts::STATEMENTS,
        checkout::STATEMENTS,
        coupons::STATEMENTS,
        erasure::STATEMENTS,
        export::STATEMENTS,
        holds::STATEMENTS,
        merges::STATEMENTS,
        order_changes::STATEMENTS,
        orders::STATEMENTS,
        payments::STATEMENTS,
        payments::issues::STATEMENTS,
        payments::provider_events::STATEMENTS,
        payments::stock::STATEMENTS,
        refunds::STATEMENTS,
        seed::STATEMENTS,
        shipping::STATEMENTS,
        staff_orders::STATEMENTS,
        stock::STATEMENTS,
        sweep::STATEMENTS,
    ]
    .concat()
}
