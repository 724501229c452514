//! What payments count.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::payment::Status;

/// Counters of a process. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    succeeded: AtomicU64,
    failed: AtomicU64,
    left_to_workers: AtomicU64,
    issues: AtomicU64,
    events: AtomicU64,
    mismatches: AtomicU64,
}

impl Counts {
    /// How a request to pay ended.
    pub(crate) fn paid(&self, status: Status) {
        let counter = match status {
            Status::Succeeded => &self.0.succeeded,
            Status::Failed | Status::Canceled => &self.0.failed,
            Status::Created
            | Status::Unknown
            | Status::Processing
            | Status::RequiresAction
            | Status::RequiresCapture => &self.0.left_to_workers,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Something for a person to look at.
    pub(crate) fn issue(&self) {
        self.0.issues.fetch_add(1, Ordering::Relaxed);
    }

    /// An event of the provider's was worked through.
    pub(crate) fn event(&self) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
    }

    /// The provider's books and ours differ.
    pub(crate) fn mismatch(&self) {
        self.0.mismatches.fetch_add(1, Ordering::Relaxed);
    }

    /// Appends the counters in the Prometheus text format.
    pub(crate) fn prometheus(&self, out: &mut String) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let _ = writeln!(out, "# HELP payments_requests_total Requests to pay by how they ended.");
        let _ = writeln!(out, "# TYPE payments_requests_total counter");
        for (outcome, counter) in [
            ("succeeded", &self.0.succeeded),
            ("failed", &self.0.failed),
            ("unsettled", &self.0.left_to_workers),
        ] {
            let _ = writeln!(out, "payments_requests_total{{outcome=\"{outcome}\"}} {}", read(counter));
        }
        for (name, help, counter) in [
            ("payments_issues_total", "Payments that a person has to look at.", &self.0.issues),
            ("payments_provider_events_total", "Events of the provider worked through.", &self.0.events),
            (
                "payments_reconciliation_mismatch_total",
                "Differences between the provider's books and ours.",
                &self.0.mismatches,
            ),
        ] {
            let _ = writeln!(out, "# HELP {name} {help}");
            let _ = writeln!(out, "# TYPE {name} counter");
            let _ = writeln!(out, "{name} {}", read(counter));
        }
    }
}
