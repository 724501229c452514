//! What notifications promise, asked through their API, on real backends.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests they serve")]

mod accounts;
mod app;
mod consumers;
mod export;
mod feeds;
mod follow;
mod mailbox;
mod mails;
mod orders;
mod orders_stand_in;
mod policies;
mod preferences;
mod refusals;
mod repeats;
mod smtp;
mod sweeper;
mod webhooks;
