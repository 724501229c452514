//! A report taken back by its sender, out of both users' lists.

use events::{Event, Fact};
use idempotency::Done;
use proto::agenda::v1::{DeleteReportRequest, DeleteReportResponse};
use proto::events::v1::ReportFact;

use super::{Call, check_version, own, record};
use crate::domain::{ReportId, Version};
use crate::error::Error;
use crate::store::reports as store;

pub(crate) async fn delete_report(
    call: &Call,
    request: DeleteReportRequest,
) -> Result<Done<DeleteReportResponse>, Error> {
    let owner = call.owner()?;
    let id = ReportId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let now = super::now();

    call.once(
        owner,
        |()| DeleteReportResponse { receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                let old = own::locked_report(tx, id).await?;
                check_version(expected, old.version)?;
                store::delete(tx, id).await?;
                let fact = ReportFact {
                    report_id: id.get(),
                    sender_id: old.sender_id,
                    receiver_id: old.receiver_id.unwrap_or_default(),
                };
                let version = old.version + 1;
                record(tx, &Event::new(&owner.actor, now, version, Fact::ReportDeleted(fact))).await
            })
        },
    )
    .await
}
