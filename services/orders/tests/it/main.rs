//! What the shop's orders promise, asked through their API, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests they serve")]

mod app;
mod buying;
mod cancelling;
mod carts;
mod catalog;
mod checkout;
mod checkout_races;
mod coupons;
mod desk;
mod forgetting;
mod leftovers;
mod merges;
mod order_costs;
mod overdue;
mod payments;
mod policies;
mod purchases;
mod repeats;
mod shipping;
mod statements;
mod stock;
