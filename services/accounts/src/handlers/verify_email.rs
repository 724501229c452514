//! The link of a verification mail.

use events::{Event, Fact};
use proto::accounts::v1::{VerifyEmailRequest, VerifyEmailResponse};
use proto::events::v1::UserUpdated;
use rls::{Caller, Tx, UserId};
use time::OffsetDateTime;

use super::{Call, now, record};
use crate::domain::Invalid;
use crate::error::Error;
use crate::mail::Purpose;
use crate::secrets::OpaqueToken;
use crate::store::{credentials, mail_tokens};
use crate::wire;

pub(crate) async fn verify_email(
    call: &Call,
    request: VerifyEmailRequest,
) -> Result<VerifyEmailResponse, Error> {
    let backstage = call.service()?;
    let token = OpaqueToken::parse(&request.token).ok_or_else(invalid_token)?.sha256();
    let now = now();
    let committed = call
        .write(backstage, move |tx| {
            Box::pin(async move {
                let owner = mail_tokens::redeem(tx, &token, Purpose::VerifyEmail.as_str(), now).await?;
                let user = owner.ok_or_else(invalid_token)?;
                verified(tx, user, now).await
            })
        })
        .await?;
    Ok(VerifyEmailResponse { receipts: wire::receipts(committed.receipts) })
}

/// Notes that mail to the user's address reaches them, and says so if that is news.
pub(super) async fn verified(tx: &mut Tx, user: UserId, now: OffsetDateTime) -> Result<(), Error> {
    let Some(version) = credentials::verify_email(tx, user, now).await? else { return Ok(()) };
    let fact = UserUpdated { user_id: user.0, changed: vec!["email_verified_at".to_owned()] };
    record(tx, &Event::new(&Caller::User(user), now, version, Fact::UserUpdated(fact))).await
}

/// One refusal for a link that never was, was used, has expired, or is for something else.
pub(super) fn invalid_token() -> Error {
    Invalid::because("invalid_token", "token", "is not valid, or not any more").into()
}
