//! The sandbox over HTTP, as its callers see it.

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
