//! The end of a second factor, by a code of it.

use events::{Event, Fact};
use proto::accounts::v1::{DisableTotpRequest, DisableTotpResponse, Revocation};
use proto::events::v1::UserUpdated;
use rls::{Caller, Tx, UserRole};
use time::OffsetDateTime;

use super::second_factor::{self, CodeCheck};
use super::{Call, Oneself, Resources, now, record};
use crate::domain::Invalid;
use crate::domain::mail::MailTemplate;
use crate::domain::totp::Code;
use crate::error::{Error, Missing};
use crate::store::{credentials, second_factors};
use crate::{mail, revoke, wire};

pub(crate) async fn disable_totp(
    call: &Call,
    request: DisableTotpRequest,
) -> Result<DisableTotpResponse, Error> {
    let oneself = call.oneself()?;
    let code = Code::parse("code", &request.code)?;
    let now = now();
    let resources = call.resources.clone();
    let committed = call
        .write(oneself.backstage(), move |tx| {
            Box::pin(async move { disable(tx, &resources, oneself, code, now).await })
        })
        .await?;
    let (checked, revocation) = committed.value;
    checked.answer(&call.resources)?;
    call.resources.announce(revocation.as_slice());
    Ok(DisableTotpResponse { receipts: wire::receipts(committed.receipts) })
}

async fn disable(
    tx: &mut Tx,
    resources: &Resources,
    oneself: Oneself,
    code: Code,
    now: OffsetDateTime,
) -> Result<(CodeCheck, Option<Revocation>), Error> {
    let id = oneself.id;
    let user = credentials::of_user(tx, id).await?.ok_or(Error::NotFound(Missing::User))?.user;
    if !user.totp_enabled {
        return Err(Invalid::because("totp_not_enabled", "code", "there is no second factor").into());
    }
    let checked = second_factor::check(tx, resources, id, code, now).await?;
    if checked != CodeCheck::Right {
        return Ok((checked, None));
    }
    let Some(version) = credentials::disable_totp(tx, id, now).await? else {
        let detail = "the password is too short to stand alone; choose a longer one first";
        return Err(Invalid::because("password_too_short", "code", detail).into());
    };
    second_factors::remove(tx, id).await?;
    mail::tell(tx, id, MailTemplate::TotpDisabled, now).await?;
    let fact = UserUpdated { user_id: id.0, changed: vec!["totp_enabled".to_owned()] };
    record(tx, &Event::new(&Caller::User(id), now, version, Fact::UserUpdated(fact))).await?;
    // Tokens issued so far may state a role that now needs what is gone.
    let role: UserRole = resources.staff_totp.effective(user.role, false);
    let revocation = if role == user.role { None } else { Some(revoke::role(tx, id, role, now).await?) };
    Ok((checked, revocation))
}
