//! A new second factor, in force once a code of it was seen.

use proto::accounts::v1::{EnrolTotpRequest, EnrolTotpResponse};

use super::{Call, now};
use crate::domain::Invalid;
use crate::domain::totp::{SECRET_BYTES, enrolment};
use crate::error::{Error, Missing};
use crate::secrets::random;
use crate::store::{credentials, second_factors};

/// The one in force, if there is one, stays so until then.
pub(crate) async fn enrol_totp(call: &Call, _: EnrolTotpRequest) -> Result<EnrolTotpResponse, Error> {
    let oneself = call.oneself()?;
    let now = now();
    // Whoever finds an open browser must not make the account their own.
    oneself.require_fresh(now)?;
    let secret: [u8; SECRET_BYTES] = random();
    let sealed = call.resources.secrets.seal(oneself.id.0, &secret);
    let email = call
        .write(oneself.backstage(), move |tx| {
            Box::pin(async move {
                let found = credentials::of_user(tx, oneself.id).await?;
                let user = found.ok_or(Error::NotFound(Missing::User))?.user;
                // Else a stranger who registered somebody's address could lock its owner out for good.
                if !user.email_verified {
                    let detail = "confirm the mail address first";
                    return Err(Invalid::because("email_not_verified", "email", detail).into());
                }
                second_factors::propose(tx, oneself.id, &sealed, now).await?;
                Ok(user.email)
            })
        })
        .await?
        .value;
    let (secret, uri) = enrolment(&secret, &email)
        .ok_or(Error::Internal("a mail address fits into no second factor's URI"))?;
    Ok(EnrolTotpResponse { secret, uri })
}
