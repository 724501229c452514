//! The gateway: HTTP in, gRPC out, and between them the response cache.
//!
//! A request's way: [`listener`] (one connection) → `front` (times it, answers from the cache, writes the
//! headers) → for misses [`handlers`]' fetch functions, for everything that is not cached its actix handlers →
//! `upstream` (the services). What may be cached, under which key, for how long and purged by which tags, is
//! on one page, [`cache_policy`]; so are the routes, [`routes`]; what can go wrong is in [`error`].

pub mod agenda_bodies;
mod allowance;
mod answer;
mod app;
mod auth;
pub mod bodies;
mod body;
pub mod cache_policy;
pub mod client_address;
mod config;
mod cookies;
pub mod cors;
pub mod error;
pub mod fields;
mod front;
mod gate;
mod guest;
pub mod handlers;
pub mod json;
mod limits;
pub mod listener;
pub mod listing;
pub mod negotiation;
mod observe;
pub mod pages;
mod precondition;
mod prefetch;
pub mod problem;
pub mod query;
mod repeat;
pub mod representation;
mod request_id;
pub mod routes;
mod sessions;
pub mod shop_bodies;
mod upstream;
pub mod views;

pub use app::App;
pub use config::Config;
