//! The accounts service: who people are, how they sign in, and what they may ask of their own data.
//!
//! It answers `mestres.accounts.v1.AccountsService` over gRPC. Whoever is signed in reaches rows of their own;
//! admins reach users; what proves who somebody is (password hashes, second factors, tokens) is reached by
//! processes of the product alone, and never leaves. Access tokens are signed here and verified elsewhere;
//! whoever verifies them follows `ListRevocations` and the core NATS subject `accounts.revoked`.
//!
//! A change of a profile, of addresses, of a user by an admin, and a request for one's data are made once under an
//! idempotency key, see [`idempotency`]. Whatever holds or makes a secret is not: passwords, codes, sessions. What
//! admins change is written into a chain, see [`audit`].
//!
//! A refusal says why in metadata `mc-reason`, and about which field in `mc-field`:
//!
//! | Code | `mc-reason` |
//! | --- | --- |
//! | `INVALID_ARGUMENT` | `invalid_value`, `version_required`, `invalid_token`, `password_too_short`, `password_too_long`, `password_common`, `totp_not_pending`, `totp_not_enabled`, `cep_contradicts_state`, `too_many_addresses`, `offset_too_deep` |
//! | `NOT_FOUND` | `user_not_found`, `session_not_found`, `address_not_found`, `data_job_not_found` |
//! | `ABORTED` | `version_mismatch`; `mc-current-version` holds the current one |
//! | `UNAUTHENTICATED` | `unauthenticated`, `invalid_credentials`, `totp_required` |
//! | `PERMISSION_DENIED` | `permission_denied`, `step_up_required`, `own_account`, `last_admin` |
//! | `RESOURCE_EXHAUSTED` | `rate_limited`; `mc-retry-after-ms` says when to come again |
//! | `UNAVAILABLE` | `overloaded` with `mc-retry-after-ms`; `database_busy`, `database_unavailable`, `database_conflict`: nothing was done |
//! | `DEADLINE_EXCEEDED` | `deadline_exceeded`: nothing was done |
//! | `UNKNOWN` | `outcome_unknown`: it may have been done |
//! | `INTERNAL` | `internal` |

mod access_tokens;
pub mod admin;
mod announcer;
mod app;
mod attempts;
mod config;
mod counters;
mod domain;
mod error;
mod grpc;
mod handlers;
mod jobs;
mod mail;
mod passwords;
mod revoke;
mod roles;
mod secrets;
pub mod seed;
mod store;
mod sweep;
mod wire;

pub use app::App;
pub use config::{Config, StaffTotp};

/// The schemas `app` and `accounts`, for the role that owns the database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Every SQL statement of the service, name and text: what a test walks as a stranger and as nobody.
#[doc(hidden)]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    store::statements()
}
