//! The caller's own things, looked up where not having them is a refusal.

use rls::Tx;

use crate::domain::{EventId, ProfessionalId, ReportId};
use crate::error::{Error, Missing};
use crate::store::events::{self, EventRow};
use crate::store::professionals::{self, ProfessionalRow};
use crate::store::reports::{self, LockedReport, ReportRow};

pub(super) async fn event(tx: &mut Tx, id: EventId) -> Result<EventRow, Error> {
    events::event(tx, id).await?.ok_or(Error::NotFound(Missing::Event))
}

pub(super) async fn professional(tx: &mut Tx, id: ProfessionalId) -> Result<ProfessionalRow, Error> {
    professionals::professional(tx, id).await?.ok_or(Error::NotFound(Missing::Professional))
}

pub(super) async fn report(tx: &mut Tx, id: ReportId) -> Result<ReportRow, Error> {
    reports::report(tx, id).await?.ok_or(Error::NotFound(Missing::Report))
}

/// A report that the caller may change, locked. Who received it knows that it exists and is told why not;
/// to everybody else it does not exist.
pub(super) async fn locked_report(tx: &mut Tx, id: ReportId) -> Result<LockedReport, Error> {
    match reports::lock(tx, id).await? {
        Some(report) => Ok(report),
        None => Err(reports::report(tx, id)
            .await?
            .map_or(Error::NotFound(Missing::Report), |_received| Error::NotTheSender)),
    }
}

/// Refuses a report about somebody else's event, or none.
pub(super) async fn require_event(tx: &mut Tx, id: EventId) -> Result<(), Error> {
    events::event(tx, id).await?.map(drop).ok_or_else(Error::unknown_event)
}
