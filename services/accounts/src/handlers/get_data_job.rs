//! How far a data job of the caller is, and what a finished export gathered.

use proto::accounts::v1::{GetDataJobRequest, GetDataJobResponse};
use uuid::Uuid;

use super::Call;
use crate::domain::Invalid;
use crate::error::{Error, Missing};
use crate::store::data_jobs;
use crate::wire;

pub(crate) async fn get_data_job(
    call: &Call,
    request: GetDataJobRequest,
) -> Result<GetDataJobResponse, Error> {
    let oneself = call.oneself()?;
    let id: Uuid = request.id.parse().map_err(|_not_a_uuid| Invalid::value("id", "must be a UUID"))?;
    let job = call
        .read(oneself, move |tx| Box::pin(async move { Ok(data_jobs::job(tx, oneself.id, id).await?) }))
        .await?;
    let job = job.ok_or(Error::NotFound(Missing::DataJob))?;
    if job.document.is_some() {
        // Everything about somebody in one answer: not for whoever finds an open browser.
        oneself.require_fresh(super::now())?;
    }
    Ok(GetDataJobResponse { job: Some(wire::data_job::data_job(job)) })
}
