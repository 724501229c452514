#![doc = include_str!("../README.md")]

pub mod layout;

mod histogram;
mod recorder;
mod series;
mod sketch;
mod timing;

mod clock;
mod shard;

mod backlog;
mod cut;
mod process;
mod reporter;

pub mod grpc;
pub mod prometheus;

pub use backlog::{BACKLOG_BYTES_MAX, BACKLOG_SLOTS_MAX};
pub use clock::Reading;
pub use cut::{MESSAGE_BYTES_MAX, OVERFLOW, SERIES_MAX, SLOT_S};
pub use histogram::Histogram;
pub use prometheus::prometheus;
pub use recorder::{ENDPOINTS_MAX, OTHER, Recorder};
pub use reporter::{Identity, Reporter, ReporterGauges};
pub use series::{CacheState, Endpoint, EndpointId, StatusClass};
pub use sketch::{Counts, Malformed, Sketch, Sum};
pub use timing::{CANCELLED, Timing};
