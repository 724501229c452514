//! The catalog service: products, variants, categories, images and base prices.
//!
//! It answers `mestres.catalog.v1.CatalogService` over gRPC for whoever calls: anonymous callers and
//! users read what is active, staff and admins read and write everything. Every change leaves a typed
//! event in the transaction that makes it true, and its answer says what it made stale.
//!
//! Processes of the product ask what variants cost, as one snapshot. What orders tells of stock becomes a band, in, low
//! or out, and what it tells of sales popularity; counts stay there. What staff change is written into a chain, see
//! [`audit`].
//!
//! A change whose request has an idempotency key is made once and answered the same each time, see [`idempotency`];
//! its refusals are in the tables of that crate.
//!
//! A refusal says why in metadata `mc-reason`, and about which field in `mc-field`:
//!
//! | Code | `mc-reason` |
//! | --- | --- |
//! | `INVALID_ARGUMENT` | `invalid_value`, `offset_too_deep`, `invalid_cursor`, `version_required`, `category_not_found`, `variant_not_found` |
//! | `NOT_FOUND` | `product_not_found`, `category_not_found`, `image_not_found` |
//! | `ABORTED` | `version_mismatch`; `mc-current-version` holds the current one |
//! | `ALREADY_EXISTS` | `slug_taken`, `sku_taken` |
//! | `UNAUTHENTICATED` | `unauthenticated` |
//! | `PERMISSION_DENIED` | `permission_denied` |
//! | `UNAVAILABLE` | `database_busy`, `database_unavailable`, `database_conflict`: nothing was done |
//! | `DEADLINE_EXCEEDED` | `deadline_exceeded`: nothing was done |
//! | `UNKNOWN` | `outcome_unknown`: it may have been done |
//! | `INTERNAL` | `internal` |

mod app;
mod config;
mod consumers;
mod domain;
mod error;
mod grpc;
mod handlers;
mod popularity;
pub mod seed;
mod store;
mod wire;

pub use app::App;
pub use config::Config;

/// The schemas `app` and `catalog`, for the role that owns the database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");
