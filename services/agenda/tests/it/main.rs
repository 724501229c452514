//! What the agenda promises, asked through its API, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests they serve")]

mod app;
mod booking;
mod erasure;
mod events;
mod export;
mod facts;
mod isolation;
mod migrations;
mod plans;
mod policies;
mod professionals;
mod refusals;
mod repeats;
mod reports;
mod seed;
mod statements;
