//! The metrics service through its API, with a real Redis.

mod app;

mod refusals;
mod replicas;
mod reporter;
mod reports;
mod retained;
