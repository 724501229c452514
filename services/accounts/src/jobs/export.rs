//! Everything that the product knows about a user, gathered into one document.

use std::time::Duration;

use rls::{Caller, Class, UserId};
use tonic::{Code, Status};

use super::Workshop;
use super::data_jobs::Setback;
use crate::domain::data_job::JobFailure;
use crate::domain::mail::MailTemplate;
use crate::handlers::now;
use crate::mail;
use crate::store::data_jobs::{self, Claimed, ExportParts};
use crate::store::export;

const DEADLINE: Duration = Duration::from_secs(5);
/// What fits into one answer, with room for its frame.
const DOCUMENT_BYTES_MAX: usize = 3_500_000;

/// One attempt. Whatever is gathered is gathered anew each time; only the last step leaves something.
pub(super) async fn work(workshop: &Workshop, job: &Claimed) -> Result<(), Setback> {
    let user = UserId(job.user_id);
    // As the user, so that the policies keep everybody else's rows out of the document.
    let own = workshop
        .db
        .run(&Caller::User(user), Class::Read, DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, Setback>(export::export(tx, user).await?) })
        })
        .await?;
    // Erased meanwhile, and this job with everything else.
    let Some(accounts) = own.value else { return Ok(()) };
    let agenda = workshop.peers.export_agenda(user, job.id).await;
    let agenda = agenda.map_err(|status| refused(JobFailure::AgendaUnavailable, status))?;
    let notifications = workshop.peers.export_notifications(user, job.id).await;
    let notifications =
        notifications.map_err(|status| refused(JobFailure::NotificationsUnavailable, status))?;
    let orders = workshop.peers.export_orders(user, job.id).await;
    let orders = orders.map_err(|status| refused(JobFailure::OrdersUnavailable, status))?;
    if accounts.len() + agenda.len() + notifications.len() + orders.len() > DOCUMENT_BYTES_MAX {
        return Err(Setback::Final(JobFailure::TooLarge));
    }
    let parts = ExportParts { accounts, agenda, notifications, orders };

    let (job, now) = (job.clone(), now());
    workshop
        .db
        .run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
            Box::pin(async move {
                if !data_jobs::hold(tx, &job).await? {
                    return Ok(());
                }
                data_jobs::finish_export(tx, &job, &parts).await?;
                data_jobs::delete_other_exports(tx, &job).await?;
                mail::tell(tx, user, MailTemplate::DataExportReady, now).await?;
                Ok::<_, Setback>(())
            })
        })
        .await?;
    Ok(())
}

fn refused(failure: JobFailure, status: Status) -> Setback {
    if status.code() == Code::OutOfRange {
        // The client's limit for one message.
        return Setback::Final(JobFailure::TooLarge);
    }
    Setback::Peer { failure, status: Box::new(status) }
}
