#![doc = include_str!("../README.md")]

mod asserter;
mod assertion;
mod assertions;
pub mod caller;
mod claims;
pub mod cluster;
mod context;
mod database;
mod error;
mod jws;
mod key_set;
mod permits;
mod query_times;
mod signing_key;
mod statement;
mod statements;
mod tx;
mod verifier;

pub use asserter::Asserter;
pub use assertion::AssertedUser;
pub use assertions::{Asserted, Assertions, stated_request_id};
pub use caller::{Caller, UserId};
pub use claims::{Authentic, Claims, UserRole};
pub use database::{Database, DatabaseConfig};
pub use error::{ConnectError, DatabaseError};
pub use jws::Unauthenticated;
pub use key_set::KeySetError;
pub use permits::Class;
pub use signing_key::{KeyError, SigningKey};
pub use statement::Statement;
pub use tx::{BoxFuture, Committed, Receipt, Tx};
pub use verifier::{Environment, Verifier};
