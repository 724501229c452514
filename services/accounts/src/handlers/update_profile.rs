//! What the caller says about themselves, changed.

use events::{Event, Fact};
use idempotency::Done;
use proto::accounts::v1::{UpdateProfileRequest, UpdateProfileResponse};
use proto::events::v1::UserUpdated;

use super::{Call, now, record};
use crate::domain::Version;
use crate::domain::person::{self, Locale};
use crate::error::{Error, Missing};
use crate::store::profile;
use crate::wire;

pub(crate) async fn update_profile(
    call: &Call,
    request: UpdateProfileRequest,
) -> Result<Done<UpdateProfileResponse>, Error> {
    let oneself = call.oneself()?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let name = request.name.as_deref().map(|name| person::name("name", name)).transpose()?;
    let locale = request.locale.as_deref().map(|locale| Locale::parse("locale", locale)).transpose()?;
    let now = now();

    call.once(
        oneself,
        |user| UpdateProfileResponse { user: Some(wire::user(user)), receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                let current = profile::locked(tx, oneself.id).await?;
                let current = current.ok_or(Error::NotFound(Missing::User))?;
                if expected.get() != current.version {
                    return Err(Error::StaleVersion { expected: expected.get(), current: current.version });
                }
                let name = name.unwrap_or_else(|| current.name.clone());
                let locale = locale.unwrap_or(current.locale);
                let mut changed = Vec::new();
                if name != current.name {
                    changed.push("name".to_owned());
                }
                if locale != current.locale {
                    changed.push("locale".to_owned());
                }
                if changed.is_empty() {
                    return Ok(current);
                }
                let updated = profile::update(tx, oneself.id, &name, locale).await?;
                let updated = updated.ok_or(Error::NotFound(Missing::User))?;
                let fact = Fact::UserUpdated(UserUpdated { user_id: oneself.id.0, changed });
                record(tx, &Event::new(tx.caller(), now, updated.version, fact)).await?;
                Ok(updated)
            })
        },
    )
    .await
}
