//! Everything known about the caller, to be gathered in the background.

use proto::accounts::v1::{RequestExportRequest, RequestExportResponse};

use super::{Call, now, request_job};
use crate::domain::data_job::DataJobKind;
use crate::error::Error;
use crate::wire;

pub(crate) async fn request_export(
    call: &Call,
    _: RequestExportRequest,
) -> Result<RequestExportResponse, Error> {
    let oneself = call.oneself()?;
    // The document is all that somebody who found an open browser could want.
    oneself.require_fresh(now())?;
    let job = request_job::request_job(call, oneself, DataJobKind::Export).await?;
    Ok(RequestExportResponse { job: Some(wire::data_job::data_job(job)) })
}
