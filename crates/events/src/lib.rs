#![doc = include_str!("../README.md")]

pub mod consumer;
mod dead_letters;
mod event;
mod headers;
pub mod inbox;
mod outbox;
pub mod relay;
mod stale;
pub mod streams;
pub mod tags;

pub use consumer::{Consumer, ConsumerConfig, Delivery, Failure};
pub use dead_letters::{DeadLetter, DeadLetters};
pub use event::{Aggregate, Event, UnreadableEvent};
pub use outbox::{record, record_all};
pub use proto::events::v1::event::Fact;
pub use proto::events::v1::{CategoryPath, PriceChanged, ProductCreated, ProductDeleted, ProductUpdated};
pub use relay::{Relay, RelayConfig};
