//! A new report from the caller to somebody else.

use events::{Event, Fact};
use idempotency::Done;
use proto::agenda::v1::{CreateReportRequest, CreateReportResponse};
use proto::events::v1::ReportFact;

use super::{Call, own, record};
use crate::domain::{Invalid, ReceiverId, ReportId};
use crate::error::Error;
use crate::store::reports as store;
use crate::wire;

/// Whether the receiver has an account is not asked: accounts are another service's, and a call that
/// answered it would tell any user which ids exist.
pub(crate) async fn create_report(
    call: &Call,
    request: CreateReportRequest,
) -> Result<Done<CreateReportResponse>, Error> {
    let owner = call.owner()?;
    let receiver = ReceiverId::parse("receiver_id", request.receiver_id)?;
    if receiver.get() == owner.id.0 {
        return Err(Invalid::value("receiver_id", "must be another user").into());
    }
    let fields = wire::report_fields(request.fields)?;
    let now = super::now();

    call.once(
        owner,
        |report| CreateReportResponse { report: Some(wire::report(report)), receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                if let Some(event) = fields.event {
                    own::require_event(tx, event).await?;
                }
                let (id, version) = store::insert(tx, owner.id, receiver, &fields, now).await?;
                let fact = ReportFact { report_id: id, sender_id: owner.id.0, receiver_id: receiver.get() };
                record(tx, &Event::new(&owner.actor, now, version, Fact::ReportCreated(fact))).await?;
                own::report(tx, ReportId::parse("id", id)?).await
            })
        },
    )
    .await
}
