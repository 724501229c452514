//! What the accounts service promises, asked through its API on a real database.

mod app;
mod attempts;
mod logging_in;
mod mailed_links;
mod passwords;
mod refreshing;
mod registering;
mod revocations;
mod second_factors;
mod sessions;
