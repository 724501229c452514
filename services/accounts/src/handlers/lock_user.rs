//! A user locked out, or let in again, by an administrator.

use events::{Event, Fact};
use idempotency::Done;
use proto::accounts::v1::{LockUserRequest, LockUserResponse};
use proto::events::v1::UserUpdated;
use rls::UserId;
use serde_json::json;

use super::{Call, now, record, sign};
use crate::domain::{self, Invalid, Version};
use crate::error::{Error, Missing};
use crate::revoke::{self, Ending};
use crate::store::admin;
use crate::store::profile;
use crate::wire;

const REASON_CHARS_MAX: usize = 500;

pub(crate) async fn lock_user(
    call: &Call,
    request: LockUserRequest,
) -> Result<Done<LockUserResponse>, Error> {
    let administrator = call.admin()?;
    let id = UserId(domain::id("id", request.id)?);
    let expected = Version::parse("expected_version", request.expected_version)?;
    let wanted = request.locked;
    let reason = reason(&request.reason)?;
    let now = now();
    let actor = administrator.oneself;
    actor.require_fresh(now)?;

    let request_id = call.request_id.clone();
    let reply = |(user, revocations)| LockUserResponse {
        user: Some(wire::user(user)),
        revocations,
        receipts: Vec::new(),
    };
    let done = call
        .once(administrator, reply, move |tx| {
            Box::pin(async move {
                admin::require_admin(tx, actor.id).await?;
                let current = profile::locked(tx, id).await?.ok_or(Error::NotFound(Missing::User))?;
                if expected.get() != current.version {
                    return Err(Error::StaleVersion { expected: expected.get(), current: current.version });
                }
                if id == actor.id {
                    return Err(Error::OwnAccount);
                }
                if current.locked == wanted {
                    return Ok((current, Vec::new()));
                }
                let before = json!({ "locked": current.locked });
                let changed =
                    if wanted { admin::lock(tx, id, &reason).await? } else { admin::unlock(tx, id).await? };
                let user = changed.ok_or(Error::NotFound(Missing::User))?;
                let fact =
                    Fact::UserUpdated(UserUpdated { user_id: id.0, changed: vec!["locked".to_owned()] });
                record(tx, &Event::new(tx.caller(), now, user.version, fact)).await?;
                let revocations = if wanted {
                    revoke::sessions(tx, id, None, Ending::Locked, now).await?
                } else {
                    Vec::new()
                };
                let action = if wanted { "user.locked" } else { "user.unlocked" };
                sign(tx, &request_id, action, id, Some(before), Some(json!({ "locked": wanted }))).await?;
                Ok((user, revocations))
            })
        })
        .await?;
    call.resources.announce(&done.reply.revocations);
    Ok(done)
}

fn reason(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    if text.chars().nth(REASON_CHARS_MAX).is_some() {
        return Err(Invalid::value("reason", format!("must have at most {REASON_CHARS_MAX} characters")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Invalid::value("reason", "must not contain control characters"));
    }
    Ok(text.to_owned())
}
