//! Mails on their way to the notifications service, which sends each once, however often it is asked.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use proto::notifications::v1::EnqueueEmailRequest;
use rls::{Caller, Class, UserId};
use serde::{Deserialize, Serialize};

use super::{Found, Workshop, pause_after};
use crate::domain::mail::MailTemplate;
use crate::error::Error;
use crate::secrets::{Secrets, Unopened};
use crate::store::mail_jobs::{self, ClaimedMail};

/// Mails handed over at once.
const BATCH: i64 = 8;
/// Longer than handing one over may take.
const LEASE: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(5);

/// To whom a mail goes.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Recipient {
    pub(super) email: String,
    pub(super) name: String,
    pub(super) locale: String,
}

/// Addresses stay out of logs.
impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipient").finish_non_exhaustive()
    }
}

impl Recipient {
    /// Sealed for the time that a mail job may take.
    pub(super) fn seal(&self, secrets: &Secrets, user: UserId) -> Vec<u8> {
        let text = serde_json::to_vec(self).expect("three texts can be written as JSON");
        secrets.seal(user.0, &text)
    }

    fn open(secrets: &Secrets, user: UserId, sealed: &[u8]) -> Result<Self, Unopened> {
        serde_json::from_slice(&secrets.open(user.0, sealed)?).map_err(|_not_ours| Unopened)
    }
}

/// What became of a mail.
enum Outcome {
    /// Handed over, or to nobody.
    Gone,
    Again,
}

/// Takes the mails that are due and hands them over.
pub(super) async fn once(workshop: &Workshop) -> Found {
    let claimed = workshop
        .db
        .run(&Caller::Service, Class::Worker, DEADLINE, |tx| {
            Box::pin(async move { Ok::<_, Error>(mail_jobs::claim(tx, BATCH, LEASE).await?) })
        })
        .await;
    let mails = match claimed {
        Ok(claimed) if claimed.value.is_empty() => return Found::Nothing,
        Ok(claimed) => claimed.value,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "mails could not be looked for");
            return Found::Nothing;
        }
    };
    let outcomes = join_all(mails.iter().map(|mail| hand_over(workshop, mail))).await;
    let noted = workshop
        .db
        .run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
            Box::pin(async move {
                for (mail, outcome) in mails.iter().zip(outcomes) {
                    match outcome {
                        Outcome::Gone => mail_jobs::delete(tx, mail.id).await?,
                        Outcome::Again => mail_jobs::retry(tx, mail, pause_after(mail.attempts)).await?,
                    }
                }
                Ok::<_, Error>(())
            })
        })
        .await;
    if let Err(error) = noted {
        // Handed over again when the leases end: notifications knows them by their keys.
        tracing::warn!(error = &error as &dyn std::error::Error, "mails handed over were not noted");
        return Found::Nothing;
    }
    Found::Work
}

async fn hand_over(workshop: &Workshop, mail: &ClaimedMail) -> Outcome {
    let user = UserId(mail.user_id);
    let recipient = match &mail.recipient {
        Some(sealed) => match Recipient::open(&workshop.secrets, user, sealed) {
            Ok(recipient) => recipient,
            Err(unopened) => {
                tracing::error!(mail.id = %mail.id, error = &unopened as &dyn std::error::Error, "a mail has no recipient");
                return Outcome::Gone;
            }
        },
        None if mail.is_erased => return Outcome::Gone,
        None => Recipient { email: mail.email.clone(), name: mail.name.clone(), locale: mail.locale.clone() },
    };
    let request = EnqueueEmailRequest {
        dedupe_key: mail.id.to_string(),
        user_id: mail.user_id,
        to_email: recipient.email,
        to_name: recipient.name,
        locale: recipient.locale,
        template: mail.template.clone(),
        variables: variables(workshop, mail),
    };
    match workshop.peers.enqueue_email(request).await {
        Ok(()) => {
            workshop.counters.mails_handed_over.increment();
            Outcome::Gone
        }
        Err(status) => {
            workshop.counters.mails_delayed.increment();
            let (code, template) = (status.code(), mail.template.as_str());
            tracing::warn!(mail.id = %mail.id, mail.attempts, template, ?code, "a mail is handed over later");
            Outcome::Again
        }
    }
}

/// What the template's blanks are filled with. The link is built from the configured address, and the token
/// behind a `#`: a browser sends that part to nobody.
fn variables(workshop: &Workshop, mail: &ClaimedMail) -> HashMap<String, String> {
    let given = mail.variables.as_object().into_iter().flatten();
    let mut variables: HashMap<String, String> =
        given.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    if let Some(page) = MailTemplate::from_word(&mail.template).and_then(MailTemplate::token_page) {
        let token = workshop.secrets.mail_token(mail.id).encode();
        let link = format!("{}{page}#token={token}", workshop.public_url);
        variables.insert("link".to_owned(), link);
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_opens_for_its_user_only() {
        let secrets = Secrets::new(&[1; 32], None);
        let recipient =
            Recipient { email: "a@b.example".to_owned(), name: "A".to_owned(), locale: "en".to_owned() };
        let sealed = recipient.seal(&secrets, UserId(7));
        assert!(!String::from_utf8_lossy(&sealed).contains("example"));
        assert_eq!(Recipient::open(&secrets, UserId(7), &sealed).unwrap().email, "a@b.example");
        assert!(Recipient::open(&secrets, UserId(8), &sealed).is_err());
    }
}
