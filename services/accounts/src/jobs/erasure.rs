//! A user made unrecognisable, here and, by the event, in every service.

use std::time::Duration;

use events::{Event, Fact};
use proto::accounts::v1::Revocation;
use proto::events::v1::UserFact;
use rls::{Caller, Class, Tx, UserId, UserRole};
use time::OffsetDateTime;

use super::data_jobs::Setback;
use super::{Workshop, mails};
use crate::domain::data_job::JobFailure;
use crate::domain::mail::MailTemplate;
use crate::domain::user::role_word;
use crate::handlers::{now, record};
use crate::revoke::{self, Ending};
use crate::secrets::Secrets;
use crate::store::data_jobs::{self, Claimed};
use crate::store::{admin, erasure, mail_jobs};

const DEADLINE: Duration = Duration::from_secs(5);

/// One attempt: everything in one transaction, or nothing.
pub(super) async fn work(workshop: &Workshop, job: &Claimed) -> Result<(), Setback> {
    let (job, now) = (job.clone(), now());
    let secrets = std::sync::Arc::clone(&workshop.secrets);
    let erased = workshop
        .db
        .run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
            Box::pin(async move {
                if !data_jobs::hold(tx, &job).await? {
                    return Ok(Vec::new());
                }
                let revocations = erase(tx, &secrets, &job, now).await?;
                data_jobs::finish_erasure(tx, &job).await?;
                Ok::<_, Setback>(revocations)
            })
        })
        .await?;
    workshop.announcer.announce(&erased.value);
    Ok(())
}

async fn erase(
    tx: &mut Tx,
    secrets: &Secrets,
    job: &Claimed,
    now: OffsetDateTime,
) -> Result<Vec<Revocation>, Setback> {
    let user = UserId(job.user_id);
    // Administrators first: whoever changes them locks them in that order.
    let admins = admin::lock_admins(tx).await?;
    let Some(farewell) = erasure::farewell(tx, user).await? else { return Ok(Vec::new()) };
    if farewell.role == role_word(UserRole::Admin) && admins == [user] {
        return Err(Setback::Final(JobFailure::LastAdmin));
    }
    let revocations = revoke::sessions(tx, user, None, Ending::Erased, now).await?;
    mail_jobs::delete_of_user(tx, user).await?;
    data_jobs::delete_others(tx, job).await?;
    // Kept replies hold names and addresses.
    idempotency::forget(tx, user).await?;
    let version = erasure::erase(tx, user).await?;
    let deleted = Fact::UserDeleted(UserFact { user_id: user.0 });
    record(tx, &Event::new(tx.caller(), now, version, deleted)).await?;
    let recipient = mails::Recipient { email: farewell.email, name: farewell.name, locale: farewell.locale };
    let sealed = recipient.seal(secrets, user);
    mail_jobs::enqueue_sealed(tx, user, MailTemplate::AccountErased, &sealed, now).await?;
    Ok(revocations)
}
