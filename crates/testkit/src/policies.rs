//! Whether row level security holds, asked of every statement and of every table of a service.
//!
//! - [`walk()`] runs every statement as nobody, as an anonymous visitor and as a stranger, and requires that they
//!   get nothing, after a positive control has shown that the statement finds something for its owner.
//! - [`tables()`] looks at the tables themselves: that policies are on and forced, and that the service's login has
//!   no way around them.

mod tables;
mod walk;

pub use tables::tables;
pub use walk::{Params, Report, walk};

use sqlx::{Connection as _, PgConnection};

/// What PostgreSQL says to whom it does not let in.
const DENIED: &str = "42501";

/// A connection as the service's login, with the service's search path and no role yet.
async fn login(database: &crate::TestDatabase) -> PgConnection {
    PgConnection::connect(&database.url).await.expect("the service's login can connect")
}

/// The code of a database's error.
#[track_caller]
fn code(error: &sqlx::Error) -> String {
    let refused = error.as_database_error().unwrap_or_else(|| panic!("not the database's answer: {error}"));
    refused.code().expect("every error of PostgreSQL has a code").into_owned()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
