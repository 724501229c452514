//! Asking for a data job: a row that the worker of the service finds.

use uuid::Uuid;

use super::{Call, Oneself};
use crate::domain::data_job::DataJobKind;
use crate::error::{Error, Missing};
use crate::store::data_jobs::DataJob;
use crate::store::{addresses, data_jobs};

/// A new job of this kind, or the one under way.
pub(crate) async fn request_job(call: &Call, oneself: Oneself, kind: DataJobKind) -> Result<DataJob, Error> {
    let committed = call
        .write(oneself, move |tx| {
            Box::pin(async move {
                // Two at once queue here, so that the second finds the job of the first.
                if !addresses::lock_owner(tx, oneself.id).await? {
                    return Err(Error::NotFound(Missing::User));
                }
                let job = data_jobs::request(tx, oneself.id, kind, Uuid::now_v7()).await?;
                job.ok_or(Error::Internal("a data job ended while another one waited for it"))
            })
        })
        .await?;
    Ok(committed.value)
}
