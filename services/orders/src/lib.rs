//! The orders service: carts, stock, coupons, shipping, checkout, payments, and what becomes of an order.
//!
//! It answers the four services of `mestres.orders.v1` over gRPC. Buyers are users, or guests by the SHA-256 of the
//! token that they hold; what is somebody else's does not exist. Who may is asked with the buyer's eyes, what is done
//! to orders, stock and money is done by the service; carts are changed by their owner. Every change leaves typed
//! events in the transaction that makes it true, and its answer says what it made stale.
//!
//! A refusal says why in metadata `mc-reason`, and about which field in `mc-field`:
//!
//! | Code | `mc-reason` |
//! | --- | --- |
//! | `INVALID_ARGUMENT` | `invalid_value`, `offset_too_deep`, `version_required`, `line_quantity`, `variant_not_found`, `cep_not_found`, `coupon_not_applicable`, `idempotency_key_invalid` |
//! | `NOT_FOUND` | `cart_item_not_found`, `coupon_not_found`, `order_not_found`, `payment_not_found` |
//! | `ABORTED` | `version_mismatch` (`mc-current-version`); `cart_locked`, `cart_full`, `cart_conflict`, `checkout_expired`, `coupon_exhausted`, `coupon_taken`, `illegal_transition`, `payment_in_flight`, `tracking_taken`, `idempotency_in_flight`; with `mc-lines-bin`: `out_of_stock`, `price_changed`, `unavailable`, `stock_conflict` |
//! | `FAILED_PRECONDITION` | `payment_declined` (`mc-decline-code`, `mc-retryable`), `idempotency_key_reused`, `idempotency_reply_not_kept` |
//! | `RESOURCE_EXHAUSTED` | `too_many_unpaid_orders` |
//! | `UNAUTHENTICATED` | `unauthenticated` |
//! | `PERMISSION_DENIED` | `permission_denied`: a customer asking for what is for staff, a user for what is for processes |
//! | `UNAVAILABLE` | `overloaded`, `catalog_unavailable`, `payments_unavailable`, `database_busy`, `database_unavailable`, `database_conflict`: nothing was done |
//! | `DEADLINE_EXCEEDED` | `deadline_exceeded`: nothing was done |
//! | `UNKNOWN` | `outcome_unknown`: it may have been done |
//! | `INTERNAL` | `internal` |

mod app;
mod cancellation;
mod catalog;
mod config;
mod domain;
mod error;
mod facts;
mod grpc;
mod handlers;
mod order_facts;
mod payments;
mod places;
mod secret_key;
pub mod seed;
mod stock;
mod store;
mod timelines;
mod wire;
mod workers;

pub use app::App;
pub use config::{Config, PaymentsConfig, Provider};
pub use secret_key::SecretKey;

/// The schemas `app` and `orders`, for the role that owns the database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Name and text of every statement of the service, but those of outbox, inbox, idempotency keys and audit log.
#[doc(hidden)]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    store::statements()
}
