//! Requests that are repeated and done once.
//!
//! A client that did not get its answer asks again with the same `Idempotency-Key`. The key is claimed in the
//! transaction of the effect, so that there is an effect if, and only if, its reply is kept; whoever repeats the
//! request within a day gets that reply, or that refusal, again.
//!
//! - [`once`] does work of one transaction: claim, effect and reply are committed together. [`once_after`] finds
//!   something out first, and tries again what another transaction was in the way of.
//! - [`claim`] and [`Ticket`] are for work of several transactions with waiting in between, such as payments: the
//!   claim lapses after 15 seconds, another attempt may then take over, and a late first one can no longer write.
//!
//! # What is kept
//!
//! Replies, and refusals of what the caller did wrong. Not kept, so that a repeat is a new attempt: our own failures,
//! missing or stale authentication, limits, time that ran out, and work under way. A repeat purges again what the
//! first one made stale, because its caller may be the first that hears of it. A reply longer than
//! [`REPLY_BYTES_MAX`] is given but not kept: its repeat is told that the work was done ([`Refused::NotKept`]).
//!
//! # Whose key it is
//!
//! A key belongs to its principal and its route. The same key with another body is refused, never answered with what
//! was asked before. Callers without an account or a token have no keys.
//!
//! The table `idempotency_keys` is the service's own; its policies are those of the principals.

mod attempts;
mod claim;
mod done;
mod here;
mod once;
mod refused;
mod reply;
mod request;
mod store;
mod stored;
mod sweep;

pub use attempts::{Attempts, is_conflict};
pub use claim::{Claim, Finish, Ticket, claim, is_known};
pub use done::{Answer, Done};
pub use once::{Verdict, once, once_after};
pub use refused::{REPLAYED, REQUEST_ID, Refused, status};
pub use reply::Reply;
pub use request::Request;
pub use stored::{REPLY_BYTES_MAX, Stored};
pub use sweep::{forget, keep_swept, sweep};
