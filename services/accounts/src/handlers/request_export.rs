//! Everything known about the caller, to be gathered in the background.

use idempotency::Done;
use proto::accounts::v1::{RequestExportRequest, RequestExportResponse};

use super::{Call, now, request_job};
use crate::domain::data_job::DataJobKind;
use crate::error::Error;

pub(crate) async fn request_export(
    call: &Call,
    _: RequestExportRequest,
) -> Result<Done<RequestExportResponse>, Error> {
    let oneself = call.oneself()?;
    // The document is all that somebody who found an open browser could want.
    oneself.require_fresh(now())?;
    let reply = |job| RequestExportResponse { job: Some(job) };
    request_job::request_job(call, oneself, DataJobKind::Export, reply).await
}
