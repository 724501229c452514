//! From mutation events to purges.
//!
//! The writer's gateway purges what its own mutation made stale; this service is the guarantee when
//! that gateway died. It reads every event of `MC_MUTATIONS`, obeys the tags its producer put into the
//! message, and publishes the same purge under the same id: where the gateway was faster, the stream
//! drops the copy.
//!
//! It also keeps the purge log honest: four times a second it says how far the pipeline is, from every
//! service's outbox to the log (`hb.purge`), and when the log went back or is new, it starts a new
//! epoch, which ends everything that was cached before.
//!
//! One replica is active, the holder of a lock in PostgreSQL; the others wait for it. While none is,
//! gateways hear no heartbeat and stop trusting their caches on their own.

mod app;
mod config;
mod domain;
mod invalidator;
mod lease;
mod pulse;
mod purger;
mod relays;
mod store;
mod tag_record;

pub use app::App;
pub use config::Config;

/// The schema of the service.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
