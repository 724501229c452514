//! Bucket layout 1: which bucket a duration falls into, and which durations a bucket stands for.
//!
//! The unit is 64 ns. Values below 128 units have a bucket each; above, every octave is cut into 128 equal
//! buckets. Integer arithmetic only, so that every process of every version agrees to the bit.

/// The number that names this layout on the wire. Sketches of different layouts are never merged.
pub const LAYOUT: u32 = 1;

/// Number of buckets.
pub const BUCKETS: usize = 3_072;

/// Buckets of one octave, which are allocated together.
pub(crate) const PAGE_BUCKETS: usize = 128;

/// Number of octaves.
pub(crate) const PAGES: usize = BUCKETS / PAGE_BUCKETS;

/// Largest relative error of a bucket's midpoint, for durations of 8.2 us up to [`TOP_NS`].
/// Shorter durations are off by at most 32 ns.
pub const ERROR_BOUND: f64 = 1.0 / 256.0;

/// Everything from here on (68.4 s) shares the last bucket.
pub const TOP_NS: u64 = bounds(BUCKETS as u16 - 1).0;

const UNIT_BITS: u32 = 6;
const PAGE_BITS: u32 = 7;
const TOP_UNITS: u64 = (1 << 30) - 1;

/// The bucket of a duration; always below [`BUCKETS`].
pub const fn index(ns: u64) -> u16 {
    let units = ns >> UNIT_BITS;
    let units = if units > TOP_UNITS { TOP_UNITS as u32 } else { units as u32 };
    let shift = 31 - (units | (1 << PAGE_BITS)).leading_zeros() - PAGE_BITS;
    ((shift << PAGE_BITS) + (units >> shift)) as u16
}

/// The durations of a bucket: from the first value (inclusive) to the second (exclusive), in nanoseconds.
/// The last bucket also holds everything longer.
pub const fn bounds(index: u16) -> (u64, u64) {
    let index = index as u64;
    let shift = (index >> PAGE_BITS).saturating_sub(1);
    let units = (index - (shift << PAGE_BITS)) << shift;
    (units << UNIT_BITS, (units + (1 << shift)) << UNIT_BITS)
}

/// The duration a bucket stands for, in nanoseconds.
pub const fn midpoint(index: u16) -> u64 {
    let (low, high) = bounds(index);
    low + (high - low) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(ns: u64, expected: u16) {
        assert_eq!(index(ns), expected, "{ns} ns");
    }

    #[test]
    fn edges() {
        check(0, 0);
        check(63, 0);
        check(64, 1);
        check(255 * 64 + 63, 255);
        check(256 * 64, 256);
        check(257 * 64, 256);
        check(258 * 64, 257);
        check(TOP_NS - 1, 3_070);
        check(TOP_NS, 3_071);
        check(u64::MAX, 3_071);
    }

    #[test]
    fn buckets_tile_the_line_without_gap_or_overlap() {
        for bucket in 0..BUCKETS as u16 {
            let (low, high) = bounds(bucket);
            assert_eq!(index(low), bucket);
            assert_eq!(index(high - 1), bucket);
            if usize::from(bucket) + 1 < BUCKETS {
                assert_eq!(index(high), bucket + 1);
            }
        }
    }

    proptest! {
        #[test]
        fn midpoint_is_within_the_error_bound(ns in 0..TOP_NS) {
            let error = midpoint(index(ns)).abs_diff(ns);
            if ns < 128 * 64 {
                prop_assert!(error <= 32);
            } else {
                prop_assert!(error as f64 <= ns as f64 * ERROR_BOUND, "{ns} ns is off by {error}");
            }
        }

        #[test]
        fn longer_never_lands_in_an_earlier_bucket(a: u64, b: u64) {
            prop_assert!(index(a.min(b)) <= index(a.max(b)));
        }
    }
}
