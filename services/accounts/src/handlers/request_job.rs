//! Asking for a data job: a row that the worker of the service finds.

use idempotency::{Done, Reply};
use proto::accounts::v1 as pb;
use uuid::Uuid;

use super::{Call, Oneself};
use crate::domain::data_job::DataJobKind;
use crate::error::{Error, Missing};
use crate::store::{addresses, data_jobs};
use crate::wire;

/// A new job of this kind, or the one under way; `reply` makes the answer of it.
pub(crate) async fn request_job<R: Reply>(
    call: &Call,
    oneself: Oneself,
    kind: DataJobKind,
    reply: impl FnOnce(pb::DataJob) -> R + Send + 'static,
) -> Result<Done<R>, Error> {
    let reply = |job| reply(wire::data_job::data_job(job));
    call.once(oneself, reply, move |tx| {
        Box::pin(async move {
            // Two at once queue here, so that the second finds the job of the first.
            if !addresses::lock_owner(tx, oneself.id).await? {
                return Err(Error::NotFound(Missing::User));
            }
            let job = data_jobs::request(tx, oneself.id, kind, Uuid::now_v7()).await?;
            job.ok_or(Error::Internal("a data job ended while another one waited for it"))
        })
    })
    .await
}
