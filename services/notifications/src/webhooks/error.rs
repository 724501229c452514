//! What an admin can act on, beyond what every caller of this service can.

use rls::DatabaseError;

use crate::domain::Invalid;

/// Why a call about webhooks was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such endpoint.
    #[error("no such endpoint")]
    NoEndpoint,
    /// There is no such delivery.
    #[error("no such delivery")]
    NoDelivery,
    /// Somebody else changed the endpoint first.
    #[error("expected version {expected}, current version {current}")]
    StaleVersion { expected: i64, current: i64 },
    /// There are as many endpoints as there may be.
    #[error("there are {max} endpoints, which is as many as there may be")]
    TooManyEndpoints { max: i64 },
    /// The endpoint is switched off: nothing is sent to it.
    #[error("the endpoint is switched off")]
    EndpointDisabled,
    /// The system has no randomness for a secret.
    #[error("no secret could be made")]
    NoRandomness(#[from] getrandom::Error),
    /// What the endpoint's messages are signed with cannot be read.
    #[error(transparent)]
    Sealed(#[from] super::secret::Unopened),
    /// What every call may meet.
    #[error(transparent)]
    Common(#[from] crate::error::Error),
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Common(invalid.into())
    }
}

impl From<idempotency::Refused> for Error {
    fn from(refused: idempotency::Refused) -> Self {
        Self::Common(refused.into())
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        Self::Common(error.into())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Common(error.into())
    }
}
