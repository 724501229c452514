//! What a caller of the agenda can act on, and what we must repair.

use rls::DatabaseError;

use crate::domain::Invalid;

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An input breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such thing, or it is somebody else's: the same answer.
    #[error("no such {}", .0.noun())]
    NotFound(Missing),
    /// Something changed since the caller looked.
    #[error("expected version {expected}, current version {current}")]
    StaleVersion { expected: i64, current: i64 },
    /// The professional is taken at that time.
    #[error("the professional has another event at that time")]
    DoubleBooking,
    /// The caller has that professional already.
    #[error("there is a professional of that name and specialty")]
    ProfessionalTaken,
    /// A professional cannot go while events are ahead.
    #[error("the professional has scheduled events")]
    ProfessionalBooked,
    /// The assertion proves nobody.
    #[error("the caller is not authenticated")]
    Unauthenticated(#[from] rls::Unauthenticated),
    /// Nobody said who they are.
    #[error("this needs a signed-in user")]
    Anonymous,
    /// The caller may see it, but not do this to it.
    #[error("only its sender may change a report")]
    NotTheSender,
    /// The call is for somebody of another kind.
    #[error("this is not for this caller")]
    Forbidden,
    /// A repeat of a request that is under way, was another, or was refused.
    #[error(transparent)]
    Repeat(#[from] idempotency::Refused),
    /// The database did not do it, or did not say.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Event,
    Professional,
    Report,
}

impl Missing {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Professional => "professional",
            Self::Report => "report",
        }
    }
}

/// A named constraint is a rule with a name.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error.as_database_error().and_then(|refusal| refusal.constraint());
        match constraint {
            Some("no_double_booking") => Self::DoubleBooking,
            Some("professional_taken") => Self::ProfessionalTaken,
            Some("events_professional_unknown") => Self::unknown_professional(),
            _ => Self::Database(DatabaseError::from(error)),
        }
    }
}

impl Error {
    /// An event was to be held with a professional that the caller does not have.
    pub(crate) fn unknown_professional() -> Self {
        let detail = "there is no such professional";
        Self::Invalid(Invalid::because("professional_not_found", "professional_id", detail))
    }

    /// A report was to be about an event that the caller does not have.
    pub(crate) fn unknown_event() -> Self {
        Self::Invalid(Invalid::because("event_not_found", "event_id", "there is no such event"))
    }
}
