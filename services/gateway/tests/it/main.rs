//! What the gateway promises: its pure parts by tables, its listener by real sockets, and the whole of it in
//! front of a scripted catalog with a real NATS.

mod account_data;
mod accounts;
mod admin_webhooks;
mod agenda;
mod agenda_bodies;
mod agenda_keys;
mod bodies;
mod calendar;
mod carts;
mod checkout;
mod contract;
mod framing;
mod http;
mod keys;
mod limits;
mod metrics_page;
mod negotiation;
mod notifications;
mod orders;
mod origins;
mod people;
mod personal;
mod prefetch;
mod problems;
mod repeats;
mod scripted_agenda;
mod scripted_orders;
mod sessions;
mod shop;
mod sign_in;
mod sockets;
mod staff_orders;
mod stand_ins;
mod tokens;
mod views;
