//! The notifications service: what users are told in the shop and by mail, and other systems by webhook.
//!
//! It answers `mestres.notifications.v1.NotificationsService` over gRPC: users see, follow and change their own
//! notifications and preferences, whatever their role; processes of the product queue mails. It listens to the
//! facts of agenda, accounts and orders, and every change of a feed leaves a typed event in the transaction that makes it
//! true.
//!
//! `mestres.notifications.v1.WebhooksService` is for admins: where public facts are sent, and what became of them
//! ([`webhooks`]).
//!
//! A change whose request has an idempotency key is made once, see [`idempotency`]; an endpoint's secret is in a kept
//! reply as it is in its row, sealed. What admins change is written into a chain, see [`audit`].
//!
//! A refusal says why in metadata `mc-reason`, and about which field in `mc-field`:
//!
//! | Code | `mc-reason` |
//! | --- | --- |
//! | `INVALID_ARGUMENT` | `invalid_value`, `offset_too_deep`, `unknown_kind`, `unknown_template`, `variable_missing`, `version_required` |
//! | `NOT_FOUND` | `notification_not_found`, `endpoint_not_found`, `delivery_not_found` |
//! | `ABORTED` | `version_mismatch`; `mc-current-version` holds the current one |
//! | `FAILED_PRECONDITION` | `endpoint_disabled`, `too_many_endpoints` |
//! | `UNAUTHENTICATED` | `unauthenticated` |
//! | `PERMISSION_DENIED` | `permission_denied` |
//! | `RESOURCE_EXHAUSTED` | `too_many_streams`, `slow_reader` |
//! | `UNAVAILABLE` | `database_busy`, `database_unavailable`, `database_conflict`, `streams_full`, `draining`: nothing was done |
//! | `DEADLINE_EXCEEDED` | `deadline_exceeded`: nothing was done |
//! | `UNKNOWN` | `outcome_unknown`: it may have been done |
//! | `INTERNAL` | `internal` |

mod accounts;
mod app;
mod config;
mod consumers;
mod domain;
mod error;
mod feed;
mod follow;
mod grpc;
mod handlers;
mod mail;
mod orders;
mod store;
mod sweeper;
pub mod webhooks;
mod wire;

pub use app::App;
pub use config::{Config, MailConfig};

/// The schemas `app` and `notifications`, for the role that owns the database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Every SQL statement of the service, name and text, for tests of the policies.
#[doc(hidden)]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    store::statements()
}
