//! Links in mails, each good once.

use rls::{Tx, UserId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::mail::MailTemplate;
use crate::error::Error;
use crate::secrets::Secrets;
use crate::store::{mail_jobs, mail_tokens};

/// What a link in a mail is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    VerifyEmail,
    PasswordReset,
}

impl Purpose {
    /// The word in the database.
    pub(crate) fn as_str(self) -> &'static str {
        self.template().as_str()
    }

    fn template(self) -> MailTemplate {
        match self {
            Self::VerifyEmail => MailTemplate::VerifyEmail,
            Self::PasswordReset => MailTemplate::PasswordReset,
        }
    }

    fn good_for(self) -> Duration {
        match self {
            Self::VerifyEmail => Duration::hours(24),
            Self::PasswordReset => Duration::minutes(30),
        }
    }
}

/// Asks for a mail that tells `user` something.
pub(crate) async fn tell(
    tx: &mut Tx,
    user: UserId,
    template: MailTemplate,
    now: OffsetDateTime,
) -> Result<(), Error> {
    Ok(mail_jobs::enqueue(tx, Uuid::now_v7(), user, template, now).await?)
}

/// Asks for a mail with a link; links sent before for the same purpose are good no more.
///
/// Runs the same statements for a user that there is none of, and leaves nothing then: the time does not tell.
pub(crate) async fn send_link(
    tx: &mut Tx,
    secrets: &Secrets,
    user: UserId,
    purpose: Purpose,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let job = Uuid::now_v7();
    let until = now + purpose.good_for();
    mail_tokens::void(tx, user, purpose.as_str()).await?;
    mail_tokens::ask_for_mail(tx, job, user, purpose.as_str(), now, until).await?;
    let token = secrets.mail_token(job).sha256();
    mail_tokens::issue(tx, &token, user, purpose.as_str(), now, until).await
}
