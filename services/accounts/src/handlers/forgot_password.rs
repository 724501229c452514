//! A mail with a link to choose a new password, if there is anybody to send it to.

use proto::accounts::v1::{ForgotPasswordRequest, ForgotPasswordResponse};
use rls::UserId;

use super::{Call, now};
use crate::attempts::Reservation;
use crate::domain::email;
use crate::error::Error;
use crate::mail::{self, Purpose};
use crate::store::credentials;

/// No user has this id: links are "sent" to it by the same statements, which find nothing.
const NOBODY: UserId = UserId(0);

pub(crate) async fn forgot_password(
    call: &Call,
    request: ForgotPasswordRequest,
) -> Result<ForgotPasswordResponse, Error> {
    let backstage = call.service()?;
    let email = email::email("email", &request.email)?;
    let now = now();
    let resources = call.resources.clone();
    call.write(backstage, move |tx| {
        Box::pin(async move {
            let mails = resources.attempts.mails(&email);
            let reserved = resources.attempts.reserve(tx, &mails, now).await?;
            let owner = credentials::id_of(tx, &email).await?;
            let to = match reserved {
                Reservation::Granted => owner.unwrap_or(NOBODY),
                Reservation::Refused { .. } => NOBODY,
            };
            mail::send_link(tx, &resources.secrets, to, Purpose::PasswordReset, now).await
        })
    })
    .await?;
    Ok(ForgotPasswordResponse {})
}
