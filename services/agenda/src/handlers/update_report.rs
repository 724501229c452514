//! Every field of a report replaced, by its sender; the receiver stays.

use events::{Event, Fact};
use idempotency::Done;
use proto::agenda::v1::{UpdateReportRequest, UpdateReportResponse};
use proto::events::v1::ReportFact;

use super::{Call, check_version, own, record};
use crate::domain::{EventId, ReportId, Version};
use crate::error::Error;
use crate::store::reports as store;
use crate::wire;

pub(crate) async fn update_report(
    call: &Call,
    request: UpdateReportRequest,
) -> Result<Done<UpdateReportResponse>, Error> {
    let owner = call.owner()?;
    let id = ReportId::parse("id", request.id)?;
    let expected = Version::parse("expected_version", request.expected_version)?;
    let fields = wire::report_fields(request.fields)?;
    let now = super::now();

    call.once(
        owner,
        |report| UpdateReportResponse { report: Some(wire::report(report)), receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                let old = own::locked_report(tx, id).await?;
                check_version(expected, old.version)?;
                if old.is(&fields) {
                    return own::report(tx, id).await;
                }
                // One that is named already may be gone by now; a new one must be there.
                if let Some(event) = fields.event.filter(|event| old.event_id != Some(EventId::get(*event))) {
                    own::require_event(tx, event).await?;
                }
                let version = store::update(tx, id, &fields, now).await?;
                let fact = ReportFact {
                    report_id: id.get(),
                    sender_id: old.sender_id,
                    receiver_id: old.receiver_id.unwrap_or_default(),
                };
                record(tx, &Event::new(&owner.actor, now, version, Fact::ReportUpdated(fact))).await?;
                own::report(tx, id).await
            })
        },
    )
    .await
}
