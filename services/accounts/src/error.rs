//! What a caller of accounts can act on, and what we must repair.

use std::time::Duration;

use rls::DatabaseError;

use crate::domain::Invalid;

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An input breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such thing, or it is another user's.
    #[error("no such {}", .0.noun())]
    NotFound(Missing),
    /// Somebody else changed it first.
    #[error("expected version {expected}, current version {current}")]
    StaleVersion { expected: i64, current: i64 },
    /// The assertion proves nobody.
    #[error("the caller is not authenticated")]
    Unauthenticated(#[from] rls::Unauthenticated),
    /// Nobody said who they are, and this is not for everybody.
    #[error("this needs a signed-in user")]
    Anonymous,
    /// The caller may not do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// The caller may, but must prove once more who is there.
    #[error("this needs a recent proof of who is there")]
    StepUpRequired,
    /// Nobody takes their own rights away, or locks themselves out.
    #[error("this cannot be done to one's own account")]
    OwnAccount,
    /// Somebody has to be left to administer the shop.
    #[error("the last administrator has to stay")]
    LastAdmin,
    /// A password, a code or a token proves nothing. Says no more: neither which part is wrong nor whether
    /// there is such an account.
    #[error("the credentials are not valid")]
    InvalidCredentials,
    /// The password is right and a second factor is needed too.
    #[error("a code of the second factor is needed")]
    TotpRequired,
    /// Too many attempts; the next one is looked at after this time.
    #[error("too many attempts")]
    Throttled { retry_after: Duration },
    /// More passwords are to be checked than we can; nothing was done.
    #[error("too much is asked at once")]
    Overloaded { retry_after: Duration },
    /// A repeat of a request that is under way, was another, or was refused.
    #[error(transparent)]
    Repeat(#[from] idempotency::Refused),
    /// The database did not do it, or did not say.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A bug or a broken row; the text is for our log alone.
    #[error("{0}")]
    Internal(&'static str),
}

/// What was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    User,
    Session,
    Address,
    DataJob,
}

impl Missing {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "session",
            Self::Address => "address",
            Self::DataJob => "data job",
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(DatabaseError::from(error))
    }
}
