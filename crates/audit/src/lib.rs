//! What staff did, in a chain of hashes.
//!
//! [`record`] writes one entry in the transaction of the change that it tells of: both are committed, or neither.
//! Each row holds the hash of the one before it, and its own hash is over all that it says; ids have no gaps. So
//! whoever changes, removes, inserts or swaps rows later, around the policies that forbid it, leaves a chain that
//! [`verify`] finds broken, and where.
//!
//! A chain says nothing about entries cut off at its end: what is left is whole. Therefore [`verify`] answers the
//! chain's [`Head`], to be kept elsewhere (in a report, in another system), and checks that an earlier head is still
//! part of the chain. Nor does it help against somebody who may write every row and knows no earlier head is kept.
//!
//! The table `audit_chain` is the service's own. Entries hold ids and what changed; personal data and secrets stay out.

mod chain;
mod entry;
mod store;
mod verify;

pub use entry::{Entry, record};
pub use verify::{Break, Head, Verified, VerifyError, connect, verify};
