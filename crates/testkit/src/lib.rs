//! Real backends for tests, and the few tools that honest tests need.
//!
//! - [`database`]: a database of one's own, cloned from a migrated template, on the one PostgreSQL that all test
//!   processes of a run share ([`postgres`]).
//! - [`Redis`], [`Nats`], [`Postgres`]: a server of one's own, to kill and restart.
//! - [`FaultProxy`]: a network that delays, freezes, cuts, or is bad by [`Toxics`].
//! - [`eventually`]: waiting for something without sleeping.
//! - Module [`jwt`] for callers.
//! - Module [`policies`] for whether row level security holds.
//!
//! Everything may be used by many tests and processes at once, and nothing is left running: servers end with
//! the tests that use them, also when a test process is killed.

mod checkout;
mod database;
mod eventually;
mod fault_proxy;
pub mod jwt;
mod nats;
mod own_postgres;
pub mod policies;
mod redis;
mod scratch;
mod shared_postgres;

pub use database::{TestDatabase, database};
pub use eventually::eventually;
pub use fault_proxy::{FaultProxy, Flow, Toxics};
pub use nats::Nats;
pub use own_postgres::Postgres;
pub use redis::Redis;
pub use scratch::Scratch;
pub use shared_postgres::{SharedPostgres, postgres};
