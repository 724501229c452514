//! What the crate promises, over real sockets and in real processes.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests they serve")]

mod drain;
mod grpc;
mod internal_http;
mod probe;
mod sink;
mod telemetry;
