//! Every SQL statement of the service, named, with one function each.
//!
//! Rows that a caller may not see are not there: the policies of the migrations see to that. The search path of
//! the service's login holds the schemas `notifications` and `app`.

pub(crate) mod emails;
pub(crate) mod erasure;
pub(crate) mod feeds;
pub(crate) mod mailbox;
pub(crate) mod notifications;
pub(crate) mod preferences;
pub(crate) mod webhooks;

/// Every statement of the service: name and text. Tests run each of them as a stranger and as nobody.
pub(crate) fn statements() -> Vec<(&'static str, &'static str)> {
    [
        emails::STATEMENTS,
        erasure::STATEMENTS,
        feeds::STATEMENTS,
        mailbox::STATEMENTS,
        notifications::STATEMENTS,
        preferences::STATEMENTS,
        webhooks::deliveries::STATEMENTS,
        webhooks::dispatch::STATEMENTS,
        webhooks::endpoints::STATEMENTS,
    ]
    .concat()
}
