//! The last hour of every source, and questions about it. No clock and no I/O: time is an argument.

mod aggregator;
mod coverage;
mod question;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use aggregator::{Aggregator, Origin, Parsed, Unsaved};
pub(crate) use question::Question;
pub(crate) use source::{Definitions, SourceId};

/// Length of a slot.
pub(crate) const SLOT_S: u32 = latency::SLOT_S;

/// Slots that are kept: one hour (S7), the open one included.
pub(crate) const SLOTS: u32 = 360;

/// A source whose clock is ahead may open its slot this much before ours.
pub(crate) const FUTURE_TOLERATED_S: u32 = 5;

/// The slot that a moment belongs to.
pub(crate) const fn slot_of(unix_s: u32) -> u32 {
    unix_s - unix_s % SLOT_S
}

/// The oldest slot of a window of `slots` slots that ends with the open one.
pub(crate) const fn oldest_slot(now_s: u32, slots: u32) -> u32 {
    slot_of(now_s).saturating_sub((slots - 1) * SLOT_S)
}
