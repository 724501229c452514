//! The whole system as processes: HTTP in, effects out.
//!
//! Every test has a shop of its own: a database, a Redis, a NATS and one process per service, two of
//! them gateways. Nothing in here reaches into a service; what a test sees, a client could see.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here and says where")]

mod accounts;
mod agenda;
mod bad_input;
mod cancellation;
mod client;
mod drain;
mod failpoints;
mod freshness;
mod health_proxy;
mod isolation;
mod measurements;
mod mutations;
mod orders;
mod otlp_sink;
mod outages;
mod read_path;
mod security;
mod shop;
mod streams;
mod tracing;
mod up;
