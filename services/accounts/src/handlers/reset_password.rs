//! A new password by the link of a mail.

use proto::accounts::v1::{ResetPasswordRequest, ResetPasswordResponse};

use super::verify_email::{invalid_token, verified};
use super::{Call, now};
use crate::domain::mail::MailTemplate;
use crate::domain::password::{Chooser, Password, SecondFactor};
use crate::error::Error;
use crate::mail::{self, Purpose};
use crate::revoke::{self, Ending};
use crate::secrets::OpaqueToken;
use crate::store::{credentials, devices, mail_tokens};
use crate::wire;

pub(crate) async fn reset_password(
    call: &Call,
    request: ResetPasswordRequest,
) -> Result<ResetPasswordResponse, Error> {
    let backstage = call.service()?;
    let token = OpaqueToken::parse(&request.token).ok_or_else(invalid_token)?.sha256();
    let password = Password::given("new_password", &request.new_password)?;
    let now = now();
    let purpose = Purpose::PasswordReset.as_str();

    // Looked at before anything is computed: whoever guesses tokens costs nothing.
    let found = call
        .read(backstage, move |tx| {
            Box::pin(async move {
                let owner = mail_tokens::owner(tx, &token, purpose, now).await?;
                let owner = owner.ok_or_else(invalid_token)?;
                credentials::of_user(tx, owner).await?.ok_or_else(invalid_token)
            })
        })
        .await?;
    let user = found.user;
    let second_factor = SecondFactor::of(user.totp_enabled);
    let chooser = Chooser { email: &user.email, name: &user.name, second_factor };
    password.check_choice("new_password", chooser)?;
    let length = password.length();
    let password_hash = call.resources.passwords.hash(password).await?;

    let resources = call.resources.clone();
    let committed = call
        .write(backstage, move |tx| {
            Box::pin(async move {
                let owner = mail_tokens::redeem(tx, &token, purpose, now).await?;
                let user_id = owner.filter(|owner| *owner == user.id).ok_or_else(invalid_token)?;
                credentials::set_password(tx, user_id, &password_hash, length, now).await?;
                let revocations = revoke::sessions(tx, user_id, None, Ending::Password, now).await?;
                mail_tokens::void(tx, user_id, purpose).await?;
                devices::forget_all(tx, user_id).await?;
                // Whoever has the mailbox is the owner: what strangers have tried no longer keeps them out.
                let attempts = &resources.attempts;
                attempts.forget(tx, &attempts.account(&user.email)).await?;
                attempts.forget(tx, &attempts.step_up(user_id)).await?;
                verified(tx, user_id, now).await?;
                mail::tell(tx, user_id, MailTemplate::PasswordChanged, now).await?;
                Ok(revocations)
            })
        })
        .await?;
    call.resources.announce(&committed.value);
    Ok(ResetPasswordResponse { revocations: committed.value, receipts: wire::receipts(committed.receipts) })
}
