//! Cupping reports: their receivers are told.

use events::{ConsumerConfig, Delivery, Fact, Failure};

use super::Teller;
use crate::domain::message::Occasion;

const DURABLE: &str = "notifications-reports";

/// Reads `agenda.report.created`.
pub(crate) fn config() -> ConsumerConfig {
    ConsumerConfig {
        filter_subject: "mc.agenda.report.created.>".to_owned(),
        concurrency: super::CONCURRENCY,
        ..ConsumerConfig::new(DURABLE)
    }
}

/// One fact.
pub(crate) async fn handle(teller: Teller, delivery: Delivery) -> Result<(), Failure> {
    let event = delivery.event().map_err(|unreadable| Failure::Never(unreadable.into()))?;
    let Fact::ReportCreated(report) = event.fact() else { return Ok(()) };
    // Who writes for oneself knows.
    if report.receiver_id == report.sender_id {
        return Ok(());
    }
    let occasion = Occasion::ReportReceived { report_id: report.report_id };
    teller.tell(DURABLE, &delivery, report.receiver_id, occasion).await
}
