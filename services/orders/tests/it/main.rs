//! What the shop's orders promise, asked through their API, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests they serve")]

mod app;
mod carts;
mod catalog;
