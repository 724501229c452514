//! What a caller of this service can act on, and what we must repair.

use rls::DatabaseError;

use crate::domain::Invalid;

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An input breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such notification, or it is another user's.
    #[error("no such notification")]
    NotFound,
    /// The assertion proves nobody.
    #[error("the caller is not authenticated")]
    Unauthenticated(#[from] rls::Unauthenticated),
    /// Nobody said who they are, and this is not for everybody.
    #[error("this needs a signed-in user")]
    Anonymous,
    /// The caller may not do this.
    #[error("this is not for such callers")]
    Forbidden,
    /// The user follows as often as one may.
    #[error("too many streams of this user are open")]
    TooManyStreams,
    /// This process follows as much as it can.
    #[error("this process has as many streams as it can")]
    StreamsFull,
    /// The process is about to end.
    #[error("this process is draining")]
    Draining,
    /// A repeat of a request that is under way, was another, or was refused.
    #[error(transparent)]
    Repeat(#[from] idempotency::Refused),
    /// The database did not do it, or did not say.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(DatabaseError::from(error))
    }
}
