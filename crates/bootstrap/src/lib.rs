#![doc = include_str!("../README.md")]

pub mod config;
pub mod telemetry;
pub mod trace;

mod shutdown;
pub use shutdown::Shutdown;

mod health;
pub use health::{CheckReport, CheckStatus, Health, Report, Status};

mod connections;
pub mod grpc;
pub mod internal_http;
pub mod nats;
