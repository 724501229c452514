//! The first code of a new second factor puts it in force.

use events::{Event, Fact};
use proto::accounts::v1::{ConfirmTotpRequest, ConfirmTotpResponse, Revocation};
use proto::events::v1::UserUpdated;
use rls::{Caller, Tx};
use time::OffsetDateTime;

use super::second_factor::{CodeCheck, unopened};
use super::{Call, Oneself, Resources, now, record};
use crate::attempts::Reservation;
use crate::domain::Invalid;
use crate::domain::mail::MailTemplate;
use crate::domain::totp::{Code, accepted_step};
use crate::error::Error;
use crate::mail;
use crate::revoke::{self, Ending};
use crate::store::{credentials, second_factors};
use crate::wire;

pub(crate) async fn confirm_totp(
    call: &Call,
    request: ConfirmTotpRequest,
) -> Result<ConfirmTotpResponse, Error> {
    let oneself = call.oneself()?;
    let code = Code::parse("code", &request.code)?;
    let now = now();
    let resources = call.resources.clone();
    let committed = call
        .write(oneself.backstage(), move |tx| {
            Box::pin(async move { confirm(tx, &resources, oneself, code, now).await })
        })
        .await?;
    let (checked, ended) = committed.value;
    checked.answer(&call.resources)?;
    call.resources.announce(&ended);
    Ok(ConfirmTotpResponse { receipts: wire::receipts(committed.receipts) })
}

async fn confirm(
    tx: &mut Tx,
    resources: &Resources,
    oneself: Oneself,
    code: Code,
    now: OffsetDateTime,
) -> Result<(CodeCheck, Vec<Revocation>), Error> {
    let user = oneself.id;
    let pending = second_factors::lock(tx, user).await?.and_then(|factor| factor.pending);
    let pending = pending.ok_or_else(|| {
        Invalid::because("totp_not_pending", "code", "there is no second factor to be confirmed")
    })?;
    let attempts = resources.attempts.second_factor(user);
    if let Reservation::Refused { retry_after } = resources.attempts.reserve(tx, &attempts, now).await? {
        return Ok((CodeCheck::Refused { retry_after }, Vec::new()));
    }
    let secret = resources.secrets.open(user.0, &pending).map_err(unopened)?;
    let Some(step) = accepted_step(&secret, code, now.unix_timestamp(), 0) else {
        return Ok((CodeCheck::Wrong, Vec::new()));
    };
    second_factors::confirm(tx, user, step, now).await?;
    resources.attempts.forget(tx, &attempts).await?;
    mail::tell(tx, user, MailTemplate::TotpEnabled, now).await?;
    // Nothing new for others when one factor replaces another.
    if let Some(version) = credentials::enable_totp(tx, user, now).await? {
        let fact = UserUpdated { user_id: user.0, changed: vec!["totp_enabled".to_owned()] };
        record(tx, &Event::new(&Caller::User(user), now, version, Fact::UserUpdated(fact))).await?;
    }
    // A session that gave no code must not gain the rights that the factor opens.
    let ended = revoke::sessions(tx, user, Some(oneself.session), Ending::Revoked, now).await?;
    Ok((CodeCheck::Right, ended))
}
