//! How several runs of one measurement spread.

use std::fmt;

/// Minimum, median and maximum of a few values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// # Panics
    /// When there is no value.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Self { min: sorted[0], median, max: sorted[sorted.len() - 1] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, median, max } = self;
        let digits = if *median < 10.0 {
            2
        } else if *median < 1_000.0 {
            1
        } else {
            0
        };
        write!(formatter, "{median:>10.digits$}   ({min:.digits$} to {max:.digits$})")
    }
}

/// The value at `share` (0 to 1) of sorted values, by nearest rank.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the slice")]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}
