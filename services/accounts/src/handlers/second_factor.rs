//! A code of somebody's second factor, looked at: counted first, and good once.

use std::time::Duration;

use rls::{Tx, UserId};
use time::OffsetDateTime;

use super::Resources;
use crate::attempts::Reservation;
use crate::domain::totp::{Code, accepted_step};
use crate::error::Error;
use crate::secrets::Unopened;
use crate::store::second_factors;

/// What became of a code. The transaction must commit in any case: the attempt counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeCheck {
    Right,
    Wrong,
    /// Too many were tried; this one was not looked at.
    Refused {
        retry_after: Duration,
    },
}

impl CodeCheck {
    /// What the caller is told.
    pub(super) fn answer(self, resources: &Resources) -> Result<(), Error> {
        match self {
            Self::Right => Ok(()),
            Self::Wrong => {
                resources.counters.totp_refused.increment();
                Err(Error::InvalidCredentials)
            }
            Self::Refused { retry_after } => Err(Error::Throttled { retry_after }),
        }
    }
}

/// Checks a code against the secret in force and uses it up.
pub(super) async fn check(
    tx: &mut Tx,
    resources: &Resources,
    user: UserId,
    code: Code,
    now: OffsetDateTime,
) -> Result<CodeCheck, Error> {
    let attempts = resources.attempts.second_factor(user);
    if let Reservation::Refused { retry_after } = resources.attempts.reserve(tx, &attempts, now).await? {
        return Ok(CodeCheck::Refused { retry_after });
    }
    let Some(factor) = second_factors::lock(tx, user).await? else { return Ok(CodeCheck::Wrong) };
    let Some(sealed) = &factor.secret else { return Ok(CodeCheck::Wrong) };
    let secret = resources.secrets.open(user.0, sealed).map_err(unopened)?;
    let Some(step) = accepted_step(&secret, code, now.unix_timestamp(), factor.last_step) else {
        return Ok(CodeCheck::Wrong);
    };
    if !second_factors::use_step(tx, user, step).await? {
        return Ok(CodeCheck::Wrong);
    }
    resources.attempts.forget(tx, &attempts).await?;
    Ok(CodeCheck::Right)
}

pub(super) fn unopened(_: Unopened) -> Error {
    Error::Internal("the secret of a second factor cannot be opened with the keys of this service")
}
