//! What the other crates' tests rely on.

mod database;
mod eventually;
mod fault_proxy;
mod policies;
mod servers;
mod shared_postgres;
