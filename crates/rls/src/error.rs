//! What can go wrong between a caller and the database.

use sqlx::Error;

/// Why a transaction did not happen, or may not have happened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection became free in time. Nothing was done; worth another try later.
    #[error("no database connection became free in time")]
    Busy,
    /// The database cannot be reached. Nothing was committed; worth another try later.
    #[error("the database is unavailable")]
    Unavailable(#[source] Error),
    /// The deadline passed before the commit began. Nothing was committed.
    #[error("the database deadline passed")]
    Deadline,
    /// Another transaction was in the way (deadlock, lock, serialization). Nothing was committed;
    /// worth another try at once.
    #[error("another transaction was in the way")]
    Conflict(#[source] Error),
    /// The caller's role may not do this.
    #[error("the database refused the caller")]
    Refused(#[source] Error),
    /// A bug: a statement had failed and its error was ignored, or the work ended the transaction itself.
    #[error("commit of a transaction that a statement had ended or broken")]
    Aborted(#[source] Error),
    /// The connection broke, or time ran out, during the commit: it may have happened.
    #[error("the outcome of the commit is unknown")]
    CommitUnknown(#[source] Option<Error>),
    /// Any other failure of a statement.
    #[error("a database statement failed")]
    Statement(#[source] Error),
}

impl DatabaseError {
    /// Whether the effect may have happened in spite of the error.
    pub fn possibly_done(&self) -> bool {
        matches!(self, DatabaseError::CommitUnknown(_))
    }

    /// Whether the same work may succeed when tried again.
    pub fn retryable(&self) -> bool {
        match self {
            DatabaseError::Busy
            | DatabaseError::Unavailable(_)
            | DatabaseError::Deadline
            | DatabaseError::Conflict(_) => true,
            DatabaseError::Refused(_)
            | DatabaseError::Aborted(_)
            | DatabaseError::CommitUnknown(_)
            | DatabaseError::Statement(_) => false,
        }
    }

    /// What an error of the COMMIT message means.
    pub(crate) fn of_commit(error: Error) -> Self {
        match DatabaseError::from(error) {
            DatabaseError::Unavailable(error) => DatabaseError::CommitUnknown(Some(error)),
            other => other,
        }
    }
}

/// Sorts an error of a statement by what its caller can do about it.
impl From<Error> for DatabaseError {
    fn from(error: Error) -> Self {
        let Error::Database(refusal) = &error else {
            return match error {
                Error::PoolTimedOut => DatabaseError::Busy,
                Error::Io(_)
                | Error::Tls(_)
                | Error::Protocol(_)
                | Error::PoolClosed
                | Error::WorkerCrashed => DatabaseError::Unavailable(error),
                other => DatabaseError::Statement(other),
            };
        };
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        match refusal.code().as_deref() {
            Some("57014") => DatabaseError::Deadline,
            Some("40001" | "40P01" | "55P03") => DatabaseError::Conflict(error),
            Some("42501") => DatabaseError::Refused(error),
            Some("25P01" | "25P02") => DatabaseError::Aborted(error),
            Some(code) if code.starts_with("08") || code.starts_with("57P") || code == "53300" => {
                DatabaseError::Unavailable(error)
            }
            _ => DatabaseError::Statement(error),
        }
    }
}

/// As if the connection had broken there.
impl From<failpoints::Injected> for DatabaseError {
    fn from(injected: failpoints::Injected) -> Self {
        DatabaseError::Unavailable(Error::Io(injected.into()))
    }
}

/// Why a service refuses to start on this database.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not a PostgreSQL URL. The URL itself is not shown: it holds a password.
    #[error("the database URL cannot be read")]
    Url(#[source] Error),
    /// No connection within the start deadline.
    #[error("the database could not be reached within {within_s} s")]
    Unreachable {
        /// The start deadline.
        within_s: u64,
        /// The last failure, when there was one.
        source: Option<Error>,
    },
    /// The login could look past every policy.
    #[error("login {login} is a superuser or may bypass row level security; use the service's own login")]
    Unrestricted {
        /// The login's name.
        login: String,
    },
    /// The server is older than what the policies were tested with.
    #[error("PostgreSQL {version} is too old; 15 or newer is needed")]
    TooOld {
        /// The server's version number, as in `server_version_num`.
        version: i32,
    },
    /// `row_security` is off for this login.
    #[error("row_security is off for login {login}")]
    RowSecurityOff {
        /// The login's name.
        login: String,
    },
}
