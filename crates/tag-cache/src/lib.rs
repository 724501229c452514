#![doc = include_str!("../README.md")]

mod breaker;
mod cache;
mod clock;
mod codec;
mod coherence;
mod config;
mod draft;
mod entry;
mod fill;
mod flight;
mod follower;
mod heartbeat;
mod key;
mod l1;
mod l2;
pub mod log;
mod lookup;
mod message;
mod mode;
mod mode_log;
#[cfg(test)]
mod model;
mod origin;
mod position;
mod publish;
mod question;
mod report;
mod ring;
mod sketch;
mod stats;
mod tag;
pub mod tag_versions;
mod tiers;
mod token;

pub use crate::cache::{Cache, StartError};
pub use crate::config::{CacheConfig, Enabled, NotASwitch};
pub use crate::draft::{Draft, Stamp};
pub use crate::entry::Entry;
pub use crate::lookup::{CacheState, Class, Lookup, Served};
pub use crate::mode::Mode;
pub use crate::origin::FillFailed;
pub use crate::position::Position;
pub use crate::report::Stats;
pub use crate::sketch::SlotsPerRow;
pub use crate::tag::Tag;
pub use crate::token::{Token, TokenText};
