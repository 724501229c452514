//! A user's name or role changed by an administrator.

use events::{Event, Fact};
use idempotency::Done;
use proto::accounts::v1::{UpdateUserRequest, UpdateUserResponse};
use proto::events::v1::{UserRoleChanged, UserUpdated};
use rls::UserId;
use serde_json::json;

use super::{Call, now, record, sign};
use crate::domain::user::role_word;
use crate::domain::{self, Version, person};
use crate::error::{Error, Missing};
use crate::store::admin;
use crate::store::profile;
use crate::{revoke, wire};

pub(crate) async fn update_user(
    call: &Call,
    request: UpdateUserRequest,
) -> Result<Done<UpdateUserResponse>, Error> {
    let administrator = call.admin()?;
    let id = UserId(domain::id("id", request.id)?);
    let expected = Version::parse("expected_version", request.expected_version)?;
    let name = request.name.as_deref().map(|name| person::name("name", name)).transpose()?;
    let role = request.role.map(|role| wire::parse_role("role", role)).transpose()?;
    let now = now();
    let actor = administrator.oneself;
    actor.require_fresh(now)?;

    let request_id = call.request_id.clone();
    let reply = |(user, revocations)| UpdateUserResponse {
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
                let name = name.filter(|name| *name != current.name);
                let role = role.filter(|role| *role != current.role);
                if role.is_some() && id == actor.id {
                    return Err(Error::OwnAccount);
                }
                let (mut revocations, mut told) = (Vec::new(), Vec::new());
                let former_role = role_word(current.role);
                let mut user = current;
                if let Some(name) = name {
                    user = admin::set_name(tx, id, &name).await?.ok_or(Error::NotFound(Missing::User))?;
                    let changed = vec!["name".to_owned()];
                    let fact = Fact::UserUpdated(UserUpdated { user_id: id.0, changed });
                    record(tx, &Event::new(tx.caller(), now, user.version, fact)).await?;
                    // That it changed, not what it was: the log outlives what people ask to be forgotten.
                    told.push(("user.renamed", json!({}), json!({})));
                }
                if let Some(role) = role {
                    user = admin::set_role(tx, id, role).await?.ok_or(Error::NotFound(Missing::User))?;
                    let fact = Fact::UserRoleChanged(UserRoleChanged {
                        user_id: id.0,
                        old_role: former_role.to_owned(),
                        role: role_word(role).to_owned(),
                    });
                    record(tx, &Event::new(tx.caller(), now, user.version, fact)).await?;
                    // Tokens that are out there prove the lesser role from now on; more needs a new login.
                    revocations.push(revoke::role(tx, id, role, now).await?);
                    admin::delete_refresh_tokens(tx, id).await?;
                    let (before, after) =
                        (json!({ "role": former_role }), json!({ "role": role_word(role) }));
                    told.push(("user.role_changed", before, after));
                }
                for (action, before, after) in told {
                    sign(tx, &request_id, action, id, Some(before), Some(after)).await?;
                }
                Ok((user, revocations))
            })
        })
        .await?;
    call.resources.announce(&done.reply.revocations);
    Ok(done)
}
