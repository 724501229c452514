//! From a cart to an order that waits to be paid.

pub(crate) mod cancel_checkout;
pub(crate) mod get_checkout;
pub(crate) mod place_order;
