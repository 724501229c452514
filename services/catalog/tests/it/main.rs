//! What the catalog promises, asked through its API, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests they serve")]

mod app;
mod audits;
mod counts;
mod events;
mod images;
mod listing;
mod loading;
mod migrations;
mod plans;
mod policies;
mod popularity;
mod prices;
mod publisher;
mod quotes;
mod reads;
mod refusals;
mod repeats;
mod search;
mod statements;
mod stock;
mod writes;
