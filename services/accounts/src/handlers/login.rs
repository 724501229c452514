//! A session for who proves to be a user: by password, and by a code where there is a second factor.

use proto::accounts::v1::{LoginRequest, LoginResponse};
use rls::UserId;
use time::OffsetDateTime;

use super::begin_session::{Begun, Device, begin_session, token_role, tokens};
use super::client::Client;
use super::second_factor;
use super::{Backstage, Call, now};
use crate::access_tokens::Bearer;
use crate::attempts::{Reservation, Subject};
use crate::domain::email;
use crate::domain::password::Password;
use crate::domain::totp::Code;
use crate::error::Error;
use crate::passwords::Verdict;
use crate::store::credentials::{self, Credentials};
use crate::wire;

/// An unknown address, a wrong password, a locked account: the same statements, the same hash, the same answer.
pub(crate) async fn login(call: &Call, request: LoginRequest) -> Result<LoginResponse, Error> {
    let backstage = call.service()?;
    let email = email::email("email", &request.email)?;
    let password = Password::given("password", &request.password)?;
    let code = request.totp_code.map(|code| Code::parse("totp_code", &code)).transpose()?;
    let client = Client::read(request.client);
    let now = now();
    let counters = &call.resources.counters;
    let _in_line = call.resources.passwords.line_up()?;

    let attempts = &call.resources.attempts;
    let (address, account) = (attempts.address(&client.address), attempts.account(&email));
    attempts.recall(&address)?;
    // On a device that may be known to the account, only the database can tell what counts.
    if client.device.is_none() {
        attempts.recall(&account)?;
    }
    let turn = call.resources.passwords.turn().await?;
    let asked = reserve(call, backstage, email, client.clone(), (address, account), now).await?;
    let stored = asked.found.as_ref().and_then(|found| found.password_hash.clone());
    let verdict = call.resources.passwords.verify(turn, password.clone(), stored).await?;
    let found = asked.found.filter(|found| verdict != Verdict::Wrong && !found.user.locked);
    let Some(found) = found else {
        counters.logins_refused.increment();
        return Err(Error::InvalidCredentials);
    };
    let rehashed = match verdict {
        // When there is no time for it now, there will be at another login.
        Verdict::RightButOutdated => call.resources.passwords.hash(password).await.ok(),
        Verdict::Right | Verdict::Wrong => None,
    };

    let user = found.user.clone();
    let device = if found.device_known { Device::Known } else { Device::New };
    let resources = call.resources.clone();
    let proven = call
        .write(backstage, move |tx| {
            Box::pin(async move {
                let user = &found.user;
                let password_hash = found.password_hash.as_deref().unwrap_or_default();
                let Some(totp_enabled) = credentials::hold(tx, user.id, password_hash).await? else {
                    return Ok(Proven::NotAnyMore);
                };
                if totp_enabled {
                    let Some(code) = code else { return Ok(Proven::ByPasswordOnly) };
                    let checked = second_factor::check(tx, &resources, user.id, code, now).await?;
                    // Not an error of the transaction: the attempt has to stay counted.
                    if let Err(refused) = checked.answer(&resources) {
                        return Ok(Proven::NotByCode(refused));
                    }
                }
                if let Some(rehashed) = &rehashed {
                    credentials::rehash(tx, user.id, rehashed).await?;
                }
                resources.attempts.refund(tx, &asked.address).await?;
                resources.attempts.forget(tx, &asked.subject).await?;
                let begun = begin_session(tx, user, &client, device, now).await?;
                Ok(Proven::Fully { begun: Box::new(begun), totp_enabled })
            })
        })
        .await?
        .value;
    let (begun, totp_enabled) = match proven {
        Proven::Fully { begun, totp_enabled } => (begun, totp_enabled),
        Proven::ByPasswordOnly => return Err(Error::TotpRequired),
        Proven::NotByCode(refused) => return Err(refused),
        Proven::NotAnyMore => return Err(Error::InvalidCredentials),
    };

    counters.logins.increment();
    call.resources.announce(&begun.revocations);
    let role = token_role(&call.resources, user.role, totp_enabled);
    let bearer = Bearer { user: user.id, role, session: begun.session, auth_at: now };
    let tokens = tokens(&call.resources, bearer, &begun.refresh_token, begun.refresh_expires_at, now);
    Ok(LoginResponse { user: Some(wire::user(user)), tokens: Some(tokens), device: begun.device.encode() })
}

/// How far the second transaction came.
enum Proven {
    Fully {
        begun: Box<Begun>,
        totp_enabled: bool,
    },
    ByPasswordOnly,
    NotByCode(Error),
    /// The password was changed, or the user locked, since the first transaction.
    NotAnyMore,
}

/// Whose credentials are to be looked at, and what the attempt was counted for.
struct Asked {
    found: Option<Credentials>,
    address: Subject,
    subject: Subject,
}

/// Counts the attempt, before anything is computed, and finds whom it is for.
async fn reserve(
    call: &Call,
    backstage: Backstage,
    email: String,
    client: Client,
    (address, account): (Subject, Subject),
    now: OffsetDateTime,
) -> Result<Asked, Error> {
    let attempts = call.resources.attempts.clone();
    let (asked, reservation) = call
        .write(backstage, move |tx| {
            Box::pin(async move {
                let reserved = attempts.reserve(tx, &address, now).await?;
                let device = client.device_sha256();
                let found = credentials::of_email(tx, &email, &device).await?;
                let known: Option<UserId> =
                    found.as_ref().filter(|found| found.device_known).map(|found| found.user.id);
                // Strangers cannot use up what the owner of a known device may try.
                let subject = known.map_or(account, |user| attempts.device(user, &device));
                let asked = Asked { found, address, subject };
                match reserved {
                    Reservation::Granted => {
                        let reserved = attempts.reserve(tx, &asked.subject, now).await?;
                        Ok((asked, reserved))
                    }
                    refused @ Reservation::Refused { .. } => Ok((asked, refused)),
                }
            })
        })
        .await?
        .value;
    match reservation {
        Reservation::Granted => Ok(asked),
        Reservation::Refused { retry_after } => Err(Error::Throttled { retry_after }),
    }
}
