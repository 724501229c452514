//! A refresh token exchanged for the next one.

use proto::accounts::v1::{RefreshRequest, RefreshResponse, Revocation};
use rls::{DatabaseError, UserId, UserRole};
use time::{Duration, OffsetDateTime};

use super::begin_session::{REFRESH_GOOD_FOR, token_role, tokens};
use super::client::Client;
use super::{Call, now};
use crate::access_tokens::Bearer;
use crate::domain::mail::MailTemplate;
use crate::domain::user;
use crate::error::Error;
use crate::mail;
use crate::revoke::{self, Ending};
use crate::secrets::OpaqueToken;
use crate::store::refresh_tokens::{self, Again, KeptAlive};
use crate::store::sessions;

/// A client that did not get the answer, or asked from two windows, may ask again for so long.
const GRACE: Duration = Duration::seconds(10);

/// What a refresh token was good for.
enum Exchange {
    /// For its successor, which ends then.
    Next {
        session: KeptAlive,
        until: OffsetDateTime,
    },
    /// For nothing, and somebody has it who should not: its session ended.
    Reuse(Vec<Revocation>),
    Nothing,
}

pub(crate) async fn refresh(call: &Call, request: RefreshRequest) -> Result<RefreshResponse, Error> {
    let backstage = call.service()?;
    let token = OpaqueToken::parse(&request.refresh_token).ok_or(Error::InvalidCredentials)?;
    let client = Client::read(request.client);
    let now = now();
    let successor = call.resources.secrets.successor(&token);

    let (old, new) = (token.sha256(), successor.sha256());
    let exchange = call
        .write(backstage, move |tx| {
            Box::pin(async move {
                let by = client.fingerprint();
                if let Some(session) = refresh_tokens::use_up(tx, &old, &by, now).await? {
                    failpoints::hit("au.after_refresh_used_before_issue")
                        .await
                        .map_err(DatabaseError::from)?;
                    let until = session.session_expires_at.min(now + REFRESH_GOOD_FOR);
                    let user = session.user_id;
                    refresh_tokens::issue(tx, &new, session.session_id, user, now, until).await?;
                    sessions::used(tx, session.session_id, &client.address, &client.user_agent, now).await?;
                    return Ok(Exchange::Next { session, until });
                }
                let Some(again) = refresh_tokens::used(tx, &old, &new, now).await? else {
                    return Ok(Exchange::Nothing);
                };
                let in_time = now - again.used_at <= GRACE && again.used_by == by;
                match again {
                    Again { session, successor_expires_at: Some(until), .. } if in_time => {
                        Ok(Exchange::Next { session, until })
                    }
                    // The same device in time, and another secret: a rolling change of keys is no theft.
                    Again { successor_expires_at: None, .. } if in_time => Ok(Exchange::Nothing),
                    Again { session, .. } => {
                        let user = UserId(session.user_id);
                        let ended = revoke::session(tx, user, session.session_id, Ending::Reuse, now).await?;
                        // Of several at the same moment one ends the session and tells.
                        if !ended.is_empty() {
                            mail::tell(tx, user, MailTemplate::SessionReuse, now).await?;
                        }
                        Ok(Exchange::Reuse(ended))
                    }
                }
            })
        })
        .await?
        .value;

    let (session, until) = match exchange {
        Exchange::Next { session, until } => (session, until),
        Exchange::Reuse(revocations) => {
            call.resources.counters.refresh_reuses.add(revocations.len());
            call.resources.announce(&revocations);
            return Err(Error::InvalidCredentials);
        }
        Exchange::Nothing => return Err(Error::InvalidCredentials),
    };
    call.resources.counters.refreshes.increment();
    let role: UserRole = user::role("role", &session.role)?;
    let bearer = Bearer {
        user: UserId(session.user_id),
        role: token_role(&call.resources, role, session.totp_enabled),
        session: session.session_id,
        auth_at: session.auth_at,
    };
    Ok(RefreshResponse {
        tokens: Some(tokens(&call.resources, bearer, &successor, until, now)),
        user_id: session.user_id,
    })
}
