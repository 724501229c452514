//! The agenda service: a user's coffee masters, the events held with them, and cupping reports.
//!
//! It answers `mestres.agenda.v1.AgendaService` over gRPC. Every call acts in the agenda of whom the
//! gateway's assertion names; employees have an agenda too and see nobody else's. What is another user's
//! does not exist: same code, same words. Every change leaves a typed event in the transaction that makes
//! it true, and its answer says what it made stale. When an account is erased, a consumer erases its
//! agenda.
//!
//! A change whose request has an idempotency key is made once and answered the same each time, see [`idempotency`];
//! its refusals are in the tables of that crate.
//!
//! A refusal says why in metadata `mc-reason`, and about which field in `mc-field`:
//!
//! | Code | `mc-reason` |
//! | --- | --- |
//! | `INVALID_ARGUMENT` | `invalid_value`, `offset_too_deep`, `version_required`, `professional_not_found`, `event_not_found` (a reference to what the caller does not have) |
//! | `NOT_FOUND` | `event_not_found`, `professional_not_found`, `report_not_found` |
//! | `ABORTED` | `version_mismatch`; `mc-current-version` holds the current one |
//! | `ALREADY_EXISTS` | `double_booking`, `professional_taken` |
//! | `FAILED_PRECONDITION` | `professional_booked` |
//! | `UNAUTHENTICATED` | `unauthenticated` |
//! | `PERMISSION_DENIED` | `permission_denied`: a receiver changing a report, a user asking for an export |
//! | `UNAVAILABLE` | `database_busy`, `database_unavailable`, `database_conflict`: nothing was done |
//! | `DEADLINE_EXCEEDED` | `deadline_exceeded`: nothing was done |
//! | `UNKNOWN` | `outcome_unknown`: it may have been done |
//! | `INTERNAL` | `internal` |

mod app;
mod config;
mod domain;
mod erasure;
mod error;
mod grpc;
mod handlers;
pub mod seed;
mod store;
mod wire;

pub use app::App;
pub use config::Config;

/// The schemas `app` and `agenda`, for the role that owns the database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Name and text of every statement of the service, but those of outbox and inbox.
#[doc(hidden)]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    store::statements()
}
