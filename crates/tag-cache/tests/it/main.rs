//! What the cache promises, against real Redis and NATS.
//!
//! A *node* stands for one gateway, the *shop* for the service and its database, the *invalidator* for the
//! sender of heartbeats. Tests named `r<n>_…` are the races that make caches keep old values after a purge;
//! each says which deliberately broken build it was seen to fail on.

mod answers;
mod log;
mod outages;
mod owners;
mod races;
mod tokens;
mod world;
