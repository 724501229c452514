//! Requests that are repeated, on a real PostgreSQL.

mod app;
mod before;
mod faults;
mod many;
mod refusals;
mod replays;
mod steps;
mod sweeping;
