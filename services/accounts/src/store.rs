//! Every SQL statement of the service, one function per statement, named for the question it answers.
//!
//! Rows that a caller may not see are not there: the policies of the migrations see to that. The
//! search path of the service's login holds the schemas `accounts` and `app`.

pub(crate) mod addresses;
pub(crate) mod admin;
pub(crate) mod credentials;
pub(crate) mod data_jobs;
pub(crate) mod devices;
pub(crate) mod erasure;
pub(crate) mod export;
pub(crate) mod founding;
pub(crate) mod mail_jobs;
pub(crate) mod mail_tokens;
pub(crate) mod profile;
pub(crate) mod refresh_tokens;
pub(crate) mod revocations;
pub(crate) mod second_factors;
pub(crate) mod sessions;
pub(crate) mod sweep;
pub(crate) mod throttles;

/// Every statement of the service: name and text.
pub(crate) fn statements() -> Vec<(&'static str, &'static str)> {
    [
        addresses::STATEMENTS,
        admin::STATEMENTS,
        credentials::STATEMENTS,
        data_jobs::STATEMENTS,
        devices::STATEMENTS,
        erasure::STATEMENTS,
        export::STATEMENTS,
        founding::STATEMENTS,
        mail_jobs::STATEMENTS,
        mail_tokens::STATEMENTS,
        profile::STATEMENTS,
        refresh_tokens::STATEMENTS,
        revocations::STATEMENTS,
        second_factors::STATEMENTS,
        sessions::STATEMENTS,
        sweep::STATEMENTS,
        throttles::STATEMENTS,
    ]
    .concat()
}
