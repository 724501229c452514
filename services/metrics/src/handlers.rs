//! One use case per file.

pub(crate) mod query;
pub(crate) mod report;
