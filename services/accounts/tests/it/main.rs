//! What the accounts service promises, asked through its API on a real database.

mod app;
mod attempts;
mod logging_in;
mod refreshing;
mod registering;
