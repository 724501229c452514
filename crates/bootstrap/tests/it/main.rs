//! What the crate promises, over real sockets and in real processes.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests they serve")]

mod child;
mod drain;
mod grpc;
mod internal_http;
mod nats;
mod probe;
mod signals;
mod sink;
mod telemetry;
