//! The metrics aggregator: collects the timings of every process for one hour and answers questions about them.
//!
//! Sources send the total of each ten-second slot with a version; the aggregator keeps the highest version per slot
//! and source, so duplicates, retries, reordering and several replicas change nothing. Redis holds the slots for one
//! hour: a restart reads them back, and replicas read each other's. Questions are answered from memory.
//!
//! It never says more than it knows: every answer carries its coverage, which is 0 without any source.

mod app;
mod config;

mod clock;
mod domain;
mod error;
mod grpc;
mod handlers;
mod replica;
mod state;
mod store;

pub use app::App;
pub use config::Config;
