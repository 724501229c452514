//! A new password for who knows the current one.

use proto::accounts::v1::{ChangePasswordRequest, ChangePasswordResponse};

use super::step_up::verify_password;
use super::{Call, now};
use crate::domain::Invalid;
use crate::domain::mail::MailTemplate;
use crate::domain::password::{Chooser, Password, SecondFactor};
use crate::error::Error;
use crate::mail::{self, Purpose};
use crate::revoke::{self, Ending};
use crate::store::{credentials, mail_tokens, sessions};

pub(crate) async fn change_password(
    call: &Call,
    request: ChangePasswordRequest,
) -> Result<ChangePasswordResponse, Error> {
    let oneself = call.oneself()?;
    let current = Password::given("current_password", &request.current_password)?;
    let new = Password::given("new_password", &request.new_password)?;
    if new == current {
        return Err(Invalid::value("new_password", "must be another one").into());
    }
    let now = now();

    let found = verify_password(call, oneself, current, now).await?;
    let user = found.user;
    let second_factor = SecondFactor::of(user.totp_enabled);
    let chooser = Chooser { email: &user.email, name: &user.name, second_factor };
    new.check_choice("new_password", chooser)?;
    let length = new.length();
    let new_hash = call.resources.passwords.hash(new).await?;

    let resources = call.resources.clone();
    let current_hash = found.password_hash.unwrap_or_default();
    let revocations = call
        .write(oneself.backstage(), move |tx| {
            Box::pin(async move {
                // Somebody else may have changed it since.
                if credentials::hold(tx, oneself.id, &current_hash).await?.is_none() {
                    return Err(Error::InvalidCredentials);
                }
                credentials::set_password(tx, oneself.id, &new_hash, length, now).await?;
                let but = Some(oneself.session);
                let revocations = revoke::sessions(tx, oneself.id, but, Ending::Password, now).await?;
                sessions::proved(tx, oneself.id, oneself.session, now).await?;
                mail_tokens::void(tx, oneself.id, Purpose::PasswordReset.as_str()).await?;
                resources.attempts.forget(tx, &resources.attempts.step_up(oneself.id)).await?;
                mail::tell(tx, oneself.id, MailTemplate::PasswordChanged, now).await?;
                Ok(revocations)
            })
        })
        .await?
        .value;
    call.resources.announce(&revocations);
    Ok(ChangePasswordResponse { revocations })
}
