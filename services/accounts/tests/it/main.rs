//! What the accounts service promises, asked through its API on a real database.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests they serve")]

mod addresses;
mod admin_users;
mod app;
mod attempts;
mod data_jobs;
mod erasures;
mod logging_in;
mod mailed_links;
mod mails;
mod passwords;
mod peers;
mod people;
mod policies;
mod profile;
mod refreshing;
mod registering;
mod repeats;
mod revocations;
mod second_factors;
mod seed;
mod sessions;
mod statements;
mod sweeping;
mod work;
