//! What the invalidator promises, with a real PostgreSQL, NATS and Redis.

mod app;
mod epoch;
mod pulse;
mod purges;
mod record;
