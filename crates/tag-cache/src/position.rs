//! Places in the purge log: an epoch and a sequence number, ordered as one integer.

use std::fmt;

/// A place in the purge log.
///
/// The upper 16 bits are the epoch, the lower 48 the stream sequence, so that a position of a newer
/// epoch is greater than every position of an older one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Before everything: the epoch is unknown and nothing was applied.
    pub const START: Self = Self(0);

    /// The greatest sequence an epoch can hold.
    pub const SEQUENCE_MAX: u64 = (1 << 48) - 1;

    /// The place `sequence` of `epoch`. A sequence beyond [`Self::SEQUENCE_MAX`] is held at it: at a
    /// million purges a second that takes eight years.
    pub const fn new(epoch: u16, sequence: u64) -> Self {
        let sequence = if sequence > Self::SEQUENCE_MAX { Self::SEQUENCE_MAX } else { sequence };
        Self((epoch as u64) << 48 | sequence)
    }

    /// Reads what [`Self::to_bits`] gave.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The position as one integer with the same order.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Which life of the log this belongs to; 0 is "not known yet".
    pub const fn epoch(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The stream sequence within the epoch.
    pub const fn sequence(self) -> u64 {
        self.0 & Self::SEQUENCE_MAX
    }

    /// The place right behind this one in the same epoch.
    pub(crate) const fn next(self) -> Self {
        Self::new(self.epoch(), self.sequence() + 1)
    }

    /// Whether a gateway that applied `self` has applied everything up to `wanted`.
    ///
    /// A newer epoch may count its sequences from one again, so a position of an older epoch is covered
    /// only when its sequence is passed as well; the price is one refetch for its holder.
    pub(crate) const fn covers(self, wanted: Self) -> bool {
        self.0 >= wanted.0 && self.sequence() >= wanted.sequence()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.epoch(), self.sequence())
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn a_newer_epoch_is_greater_than_every_older_position() {
        assert!(Position::new(2, 0) > Position::new(1, Position::SEQUENCE_MAX));
        assert!(Position::new(1, 7) > Position::new(1, 6));
    }

    #[test]
    fn parts_come_back() {
        let position = Position::new(u16::MAX, 42);
        assert_eq!((position.epoch(), position.sequence()), (u16::MAX, 42));
        assert_eq!(Position::from_bits(position.to_bits()), position);
        assert_eq!(Position::new(3, u64::MAX).epoch(), 3, "a sequence never spills into the epoch");
    }

    #[test]
    fn an_old_epoch_is_covered_only_when_its_sequence_is_passed() {
        assert!(Position::new(1, 5).covers(Position::new(1, 5)));
        assert!(!Position::new(1, 4).covers(Position::new(1, 5)));
        assert!(!Position::new(2, 4).covers(Position::new(1, 5)));
        assert!(Position::new(2, 5).covers(Position::new(1, 5)));
        assert!(!Position::new(1, 9).covers(Position::new(2, 5)));
    }
}
