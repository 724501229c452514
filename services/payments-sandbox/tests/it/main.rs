//! The sandbox over HTTP, as its callers see it.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests they serve")]

mod app;
mod faults;
mod intents;
mod keys;
mod lists;
mod pix;
mod property;
mod refunds;
mod state;
mod three_ds;
mod webhooks;
