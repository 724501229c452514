//! Who is signed in proves once more who they are.

use proto::accounts::v1::step_up_request::Proof;
use proto::accounts::v1::{StepUpRequest, StepUpResponse};
use time::OffsetDateTime;

use super::begin_session::token_role;
use super::second_factor::{self, CodeCheck};
use super::{Call, Oneself, now};
use crate::access_tokens::{Bearer, LIFETIME_S};
use crate::attempts::Reservation;
use crate::domain::Invalid;
use crate::domain::password::Password;
use crate::domain::totp::Code;
use crate::error::Error;
use crate::passwords::Verdict;
use crate::store::credentials::{self, Credentials};
use crate::store::sessions;

pub(crate) async fn step_up(call: &Call, request: StepUpRequest) -> Result<StepUpResponse, Error> {
    let oneself = call.oneself()?;
    let now = now();
    let user = match request.proof {
        Some(Proof::Password(password)) => {
            let password = Password::given("password", &password)?;
            verify_password(call, oneself, password, now).await?.user
        }
        Some(Proof::TotpCode(code)) => {
            let code = Code::parse("totp_code", &code)?;
            verify_code(call, oneself, code, now).await?.user
        }
        None => return Err(Invalid::value("password", "a password or a code must be given").into()),
    };

    let resources = call.resources.clone();
    let alive = call
        .write(oneself.backstage(), move |tx| {
            Box::pin(async move {
                resources.attempts.forget(tx, &resources.attempts.step_up(oneself.id)).await?;
                sessions::proved(tx, oneself.id, oneself.session, now).await
            })
        })
        .await?
        .value;
    if !alive {
        return Err(Error::InvalidCredentials);
    }
    let role = token_role(&call.resources, user.role, user.totp_enabled);
    let bearer = Bearer { user: user.id, role, session: oneself.session, auth_at: now };
    let access_token = call.resources.access_tokens.issue(bearer, now);
    Ok(StepUpResponse { access_token, expires_in_s: LIFETIME_S })
}

/// The caller's credentials, if this is their password.
pub(super) async fn verify_password(
    call: &Call,
    oneself: Oneself,
    password: Password,
    now: OffsetDateTime,
) -> Result<Credentials, Error> {
    let _in_line = call.resources.passwords.line_up()?;
    let turn = call.resources.passwords.turn().await?;
    let resources = call.resources.clone();
    let (found, reserved) = call
        .write(oneself.backstage(), move |tx| {
            Box::pin(async move {
                let attempts = resources.attempts.step_up(oneself.id);
                let reserved = resources.attempts.reserve(tx, &attempts, now).await?;
                Ok((credentials::of_user(tx, oneself.id).await?, reserved))
            })
        })
        .await?
        .value;
    if let Reservation::Refused { retry_after } = reserved {
        return Err(Error::Throttled { retry_after });
    }
    let stored = found.as_ref().and_then(|found| found.password_hash.clone());
    let verdict = call.resources.passwords.verify(turn, password, stored).await?;
    found.filter(|found| verdict != Verdict::Wrong && !found.user.locked).ok_or(Error::InvalidCredentials)
}

/// The caller's credentials, if this is a code of their second factor.
async fn verify_code(
    call: &Call,
    oneself: Oneself,
    code: Code,
    now: OffsetDateTime,
) -> Result<Credentials, Error> {
    let resources = call.resources.clone();
    let (found, checked) = call
        .write(oneself.backstage(), move |tx| {
            Box::pin(async move {
                let found = credentials::of_user(tx, oneself.id).await?;
                let enabled = found.as_ref().is_some_and(|found| found.user.totp_enabled);
                let checked = if enabled {
                    second_factor::check(tx, &resources, oneself.id, code, now).await?
                } else {
                    CodeCheck::Wrong
                };
                Ok((found, checked))
            })
        })
        .await?
        .value;
    checked.answer(&call.resources)?;
    found.filter(|found| !found.user.locked).ok_or(Error::InvalidCredentials)
}
