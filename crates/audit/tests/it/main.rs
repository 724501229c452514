//! The chain of what staff did, on a real PostgreSQL.

mod app;
mod chain;
mod tampering;
