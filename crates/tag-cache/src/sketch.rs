//! When was this tag last purged? An upper bound in constant time and fixed memory.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::position::Position;
use crate::tag::Tag;

/// For every tag the position of its last purge, or of a later purge of another tag.
///
/// Two rows of slots, each tag in one slot per row. A purge raises both slots (`fetch_max`), a question
/// takes the smaller one. Slots only grow, so the answer is never below the truth: an error of the sketch
/// is a refetch, never a stale answer. Memory is `2 * slots * 8` bytes, whatever the number of tags.
#[derive(Debug)]
pub(crate) struct Sketch {
    rows: [Box<[AtomicU64]>; 2],
    mask: u32,
}

impl Sketch {
    /// `slots` per row; a power of two up to 2^32.
    pub(crate) fn new(slots: SlotsPerRow) -> Self {
        let row = || (0..slots.0).map(|_| AtomicU64::new(0)).collect();
        Self { rows: [row(), row()], mask: slots.0 - 1 }
    }

    /// Notes that `tag` was purged at `position`. The caller publishes it with a Release store of its own.
    pub(crate) fn raise(&self, tag: Tag, position: Position) {
        for slot in self.slots(tag) {
            slot.fetch_max(position.to_bits(), Ordering::Relaxed);
        }
    }

    /// The last purge of `tag`, or later.
    #[inline]
    pub(crate) fn last_purge(&self, tag: Tag) -> Position {
        let [first, second] = self.slots(tag);
        Position::from_bits(first.load(Ordering::Relaxed).min(second.load(Ordering::Relaxed)))
    }

    #[inline]
    fn slots(&self, tag: Tag) -> [&AtomicU64; 2] {
        let low = tag.to_bits() as u32 & self.mask;
        let high = (tag.to_bits() >> 32) as u32 & self.mask;
        [&self.rows[0][low as usize], &self.rows[1][high as usize]]
    }
}

/// How many slots a row has: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotsPerRow(u32);

impl SlotsPerRow {
    /// 2^21 slots: 32 MiB for both rows. With 100 000 tags purged within the longest life of an entry about
    /// one check in a thousand refetches without need.
    pub const DEFAULT: Self = Self(1 << 21);

    /// 2^`exponent` slots. `None` beyond 2^28 (4 GiB).
    pub const fn power_of_two(exponent: u32) -> Option<Self> {
        if exponent > 28 { None } else { Some(Self(1 << exponent)) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::{Sketch, SlotsPerRow};
    use crate::position::Position;
    use crate::tag::Tag;

    fn small() -> Sketch {
        // 16 slots for up to 200 tags: nearly every slot is shared.
        Sketch::new(SlotsPerRow::power_of_two(4).expect("four is in range"))
    }

    proptest! {
        #[test]
        fn never_below_the_last_purge(
            purges in proptest::collection::vec((0_u64..200, 1_u64..1_000), 0..300),
        ) {
            let sketch = small();
            let mut truth: HashMap<Tag, Position> = HashMap::new();
            for (name, sequence) in purges {
                let (tag, position) = (Tag::of(&format!("t{name}")), Position::new(1, sequence));
                sketch.raise(tag, position);
                let last = truth.entry(tag).or_default();
                *last = position.max(*last);
            }
            for (tag, last) in truth {
                prop_assert!(sketch.last_purge(tag) >= last);
            }
        }
    }

    #[test]
    fn a_tag_nobody_purged_is_clean_in_an_empty_sketch() {
        assert_eq!(small().last_purge(Tag::of("never")), Position::START);
    }

    #[test]
    fn one_shared_row_is_not_enough_to_purge_another_tag() {
        let sketch = small();
        // Same slot in the first row, another one in the second.
        let (purged, other) = (Tag::from_bits(0x0000_0001_0000_0003), Tag::from_bits(0x0000_0002_0000_0003));
        sketch.raise(purged, Position::new(1, 9));
        assert_eq!(sketch.last_purge(other), Position::START);
        assert_eq!(sketch.last_purge(purged), Position::new(1, 9));
    }
}
