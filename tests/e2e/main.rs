//! The whole system as processes: HTTP in, effects out.
//!
//! Every test has a shop of its own: a database, a Redis, a NATS and one process per service, two of
//! them gateways. Nothing in here reaches into a service; what a test sees, a client could see.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here and says where")]

mod bad_input;
mod cancellation;
mod client;
mod drain;
mod freshness;
mod health_proxy;
mod measurements;
mod otlp_sink;
mod outages;
mod read_path;
mod shop;
mod tracing;
mod up;
