//! Ending sessions before their time, so that those who hold access tokens of them learn it.

use proto::accounts::v1::revocation::What;
use proto::accounts::v1::{Revocation, RoleChange};
use rls::{Tx, UserId, UserRole};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::access_tokens::LIFETIME_S;
use crate::error::Error;
use crate::store::{revocations, sessions};
use crate::wire;

/// What verifiers allow for clocks that differ, and as much again for ours.
const LEEWAY_S: i64 = 60;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its user left.
    Logout,
    /// Its user left everywhere.
    LogoutAll,
    /// Its user ended it from another session.
    Revoked,
    /// A refresh token came twice: somebody else has it.
    Reuse,
    /// The password changed.
    Password,
    /// An admin locked the user.
    Locked,
    /// The user is no more.
    Erased,
    /// The user has begun too many since.
    TooMany,
}

impl Ending {
    /// The word in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::Revoked => "revoked",
            Self::Reuse => "reuse",
            Self::Password => "password",
            Self::Locked => "locked",
            Self::Erased => "erased",
            Self::TooMany => "too_many",
        }
    }
}

/// Ends one session of `user`; nothing when it had ended before or there is none.
pub(crate) async fn session(
    tx: &mut Tx,
    user: UserId,
    session: Uuid,
    because: Ending,
    now: OffsetDateTime,
) -> Result<Vec<Revocation>, Error> {
    let ended = sessions::end(tx, user, session, because.as_str(), now).await?;
    write(tx, user, ended, now).await
}

/// Ends every session of `user`, or every one but `but`.
pub(crate) async fn sessions(
    tx: &mut Tx,
    user: UserId,
    but: Option<Uuid>,
    because: Ending,
    now: OffsetDateTime,
) -> Result<Vec<Revocation>, Error> {
    let ended = sessions::end_all(tx, user, but, because.as_str(), now).await?;
    write(tx, user, ended, now).await
}

/// Makes every token issued so far to `user` count with `role` at most.
pub(crate) async fn role(
    tx: &mut Tx,
    user: UserId,
    role: UserRole,
    now: OffsetDateTime,
) -> Result<Revocation, Error> {
    let until = until(now);
    let seq = revocations::limit_role(tx, user, role, until).await?;
    Ok(Revocation {
        seq: seq.unsigned_abs(),
        until_s: until.unix_timestamp(),
        what: Some(What::RoleChange(RoleChange { user_id: user.0, role: wire::role(role).into() })),
    })
}

async fn write(
    tx: &mut Tx,
    user: UserId,
    ended: Vec<Uuid>,
    now: OffsetDateTime,
) -> Result<Vec<Revocation>, Error> {
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let until = until(now);
    let written = revocations::end_sessions(tx, user, &ended, until).await?;
    let revocation = |(seq, session): (i64, Uuid)| Revocation {
        seq: seq.unsigned_abs(),
        until_s: until.unix_timestamp(),
        what: Some(What::SessionId(session.to_string())),
    };
    Ok(written.into_iter().map(revocation).collect())
}

/// When the last access token issued before `now` is no longer accepted anywhere.
fn until(now: OffsetDateTime) -> OffsetDateTime {
    now + Duration::seconds(i64::from(LIFETIME_S) + LEEWAY_S)
}
