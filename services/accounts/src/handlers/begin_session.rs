//! A new session for somebody who has proved who they are.

use events::{Event, Fact};
use proto::accounts::v1::{Revocation, Tokens};
use proto::events::v1::UserLoggedIn;
use rls::{Caller, Tx, UserRole};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::client::Client;
use super::{Resources, record};
use crate::access_tokens::{Bearer, LIFETIME_S};
use crate::domain::user::User;
use crate::error::Error;
use crate::revoke::{self, Ending};
use crate::secrets::OpaqueToken;
use crate::store::sessions::NewSession;
use crate::store::{devices, refresh_tokens, sessions};
use crate::wire;

/// However often it is used, a session ends after this.
const SESSION_GOOD_FOR: Duration = Duration::days(30);
/// A refresh token that nobody uses for so long is good no more.
pub(super) const REFRESH_GOOD_FOR: Duration = Duration::days(7);

/// Whether the user has signed in on the client's device before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Device {
    Known,
    New,
}

/// A session that has begun once the transaction is committed.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) session: Uuid,
    pub(super) refresh_token: OpaqueToken,
    pub(super) refresh_expires_at: OffsetDateTime,
    pub(super) device: OpaqueToken,
    /// Sessions that had to go: a user has a hundred at most.
    pub(super) revocations: Vec<Revocation>,
}

/// Begins a session of `user` and says so.
///
/// Nothing of what the client brought becomes part of it: whoever planted a session or a device beforehand
/// shares neither.
pub(super) async fn begin_session(
    tx: &mut Tx,
    user: &User,
    client: &Client,
    device: Device,
    now: OffsetDateTime,
) -> Result<Begun, Error> {
    let mut revocations = Vec::new();
    for superfluous in sessions::superfluous(tx, user.id).await? {
        revocations.extend(revoke::session(tx, user.id, superfluous, Ending::TooMany, now).await?);
    }

    let session = Uuid::now_v7();
    let new = NewSession {
        id: session,
        user: user.id,
        user_agent: client.user_agent.clone(),
        address: client.address.clone(),
        expires_at: now + SESSION_GOOD_FOR,
    };
    sessions::begin(tx, &new, now).await?;

    let refresh_token = OpaqueToken::random();
    let refresh_expires_at = now + REFRESH_GOOD_FOR;
    refresh_tokens::issue(tx, &refresh_token.sha256(), session, user.id.0, now, refresh_expires_at).await?;

    let device = match (&client.device, device) {
        (Some(device), Device::Known) => device.clone(),
        (Some(_), Device::New) | (None, _) => OpaqueToken::random(),
    };
    devices::remember(tx, user.id, &device.sha256(), now).await?;

    let fact = UserLoggedIn { user_id: user.id.0, session_id: session.to_string() };
    // The session is the aggregate, and this is all that ever happens to it.
    record(tx, &Event::new(&Caller::User(user.id), now, 1, Fact::UserLoggedIn(fact))).await?;
    Ok(Begun { session, refresh_token, refresh_expires_at, device, revocations })
}

/// What a client holds of a session.
pub(super) fn tokens(
    resources: &Resources,
    bearer: Bearer,
    refresh_token: &OpaqueToken,
    refresh_expires_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Tokens {
    Tokens {
        access_token: resources.access_tokens.issue(bearer, now),
        expires_in_s: LIFETIME_S,
        refresh_token: refresh_token.encode(),
        refresh_expires_at: Some(wire::timestamp(refresh_expires_at)),
        session_id: bearer.session.to_string(),
    }
}

/// The role that the tokens of a user state.
pub(super) fn token_role(resources: &Resources, role: UserRole, totp_enabled: bool) -> UserRole {
    resources.staff_totp.effective(role, totp_enabled)
}
