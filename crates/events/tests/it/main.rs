//! What the events' way promises, on a real PostgreSQL and a real NATS.

mod app;
mod consumer;
mod ordered;
mod record;
mod relay;
mod repair;
