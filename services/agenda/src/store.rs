//! Every SQL statement of the service, one function per statement, named for the question it answers.
//!
//! Rows that a caller may not see are not there: the policies of the migrations see to that, so that a list
//! names no user. The search path of the service's login holds the schemas `agenda` and `app`.

pub(crate) mod erasure;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod professionals;
pub(crate) mod reports;

/// Name and text of every statement, for the test that runs them as strangers.
pub(crate) fn statements() -> Vec<(&'static str, &'static str)> {
    [
        events::STATEMENTS,
        professionals::STATEMENTS,
        reports::STATEMENTS,
        erasure::STATEMENTS,
        export::STATEMENTS,
    ]
    .concat()
}
