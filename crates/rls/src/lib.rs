#![doc = include_str!("../README.md")]

pub mod caller;
mod claims;
pub mod cluster;
mod context;
mod database;
mod error;
mod key_set;
mod permits;
mod query_times;
mod statement;
mod statements;
mod tx;
mod verifier;

pub use caller::{Caller, UserId};
pub use claims::{Claims, UserRole};
pub use database::{Database, DatabaseConfig};
pub use error::{ConnectError, DatabaseError};
pub use key_set::KeySetError;
pub use permits::Class;
pub use statement::Statement;
pub use tx::{BoxFuture, Committed, Receipt, Tx};
pub use verifier::{Environment, Unauthenticated, Verifier};
