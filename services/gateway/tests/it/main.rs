//! What the gateway promises: its pure parts by tables, its listener by real sockets, and the whole of it in
//! front of a scripted catalog with a real NATS.

mod accounts;
mod bodies;
mod contract;
mod framing;
mod http;
mod keys;
mod limits;
mod negotiation;
mod origins;
mod problems;
mod sessions;
mod shop;
mod sign_in;
mod sockets;
mod tokens;
mod views;
