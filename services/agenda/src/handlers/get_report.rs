//! One report that the caller sent or received.

use proto::agenda::v1::{GetReportRequest, GetReportResponse};

use super::{Call, own};
use crate::domain::ReportId;
use crate::error::Error;
use crate::wire;

pub(crate) async fn get_report(call: &Call, request: GetReportRequest) -> Result<GetReportResponse, Error> {
    let owner = call.owner()?;
    let id = ReportId::parse("id", request.id)?;
    let report = call.read(owner, move |tx| Box::pin(own::report(tx, id))).await?;
    Ok(GetReportResponse { report: Some(wire::report(report)) })
}
