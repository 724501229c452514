//! The data plane for machines without containers: finds or fetches PostgreSQL, Redis or Valkey, and NATS,
//! and runs private ones on loopback.
//!
//! [`Tools::find`] says which programs to use, each step of its search through a progress callback. The three
//! servers then start from them and answer before `start` returns:
//!
//! - They listen on 127.0.0.1 only, on a fixed port, the next free one, or any ([`Port`]).
//! - They never outlive their owner. Each runs below a small shell that holds the reading end of a pipe; when
//!   the owner goes, even by SIGKILL, the pipe closes and the shell stops its server.
//! - As root they run as `postgres` or `nobody`, since PostgreSQL refuses root. Folders that this account
//!   cannot reach move to a temporary folder ([`place`] says where and why).
//!
//! Settings are for development and tests, not for production: see [`Durability`] and [`Auth`].

mod account;
mod command;
mod leftover;
mod nats;
mod place;
mod port;
mod postgres;
mod redis;
mod server;
mod supervised;
mod tools;
mod version;

pub use nats::{Nats, NatsOptions};
pub use place::{Place, PlaceError, place, temporary_folder};
pub use port::Port;
pub use postgres::{Auth, Durability, Postgres, PostgresOptions};
pub use redis::{Eviction, Redis, RedisOptions};
pub use server::StartError;
pub use supervised::Lifeline;
pub use tools::{Install, NotFound, Origin, Role, Search, Tool, Tools};
pub use version::Version;
