//! Cupping reports: what a sender writes down for a receiver.

use super::{EventId, Invalid, ProductId, words};

/// The attributes of the SCA cupping form, in the order of the contract and of the database.
pub(crate) const ATTRIBUTES: [&str; 10] = [
    "fragrance",
    "flavor",
    "aftertaste",
    "acidity",
    "body",
    "balance",
    "uniformity",
    "clean_cup",
    "sweetness",
    "overall",
];
const SCORE_TENTHS_MAX: u32 = 100;

words! {
    /// What a user is to a report.
    Role {
        Sender = "sender",
        Receiver = "receiver",
    } else "must be sender or receiver"
}

/// Ten scores in tenths of a point, 0 to 100 each, in the order of [`ATTRIBUTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scores([i16; 10]);

impl Scores {
    /// Accepts scores of 0 to 10 points.
    pub(crate) fn parse(field: &str, tenths: [u32; 10]) -> Result<Self, Invalid> {
        let mut scores = [0; 10];
        for ((score, tenths), attribute) in scores.iter_mut().zip(tenths).zip(ATTRIBUTES) {
            *score = i16::try_from(tenths).ok().filter(|_| tenths <= SCORE_TENTHS_MAX).ok_or_else(|| {
                let rule = format!("must be 0 to {SCORE_TENTHS_MAX} tenths of a point");
                Invalid::value(format!("{field}.{attribute}"), rule)
            })?;
        }
        Ok(Self(scores))
    }

    pub(crate) fn as_slice(&self) -> &[i16] {
        &self.0
    }
}

/// The fields of a report that its sender writes, all of them valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportFields {
    pub(crate) title: String,
    pub(crate) scores: Scores,
    pub(crate) notes: Option<String>,
    pub(crate) event: Option<EventId>,
    pub(crate) product: Option<ProductId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_at_most_ten_points() {
        let mut tenths = [0, 100, 82, 83, 84, 85, 86, 87, 88, 89];
        assert_eq!(Scores::parse("scores", tenths).unwrap().as_slice()[..2], [0, 100]);
        tenths[7] = 101;
        assert_eq!(Scores::parse("scores", tenths).unwrap_err().field, "scores.clean_cup");
        tenths[7] = u32::MAX;
        assert!(Scores::parse("scores", tenths).is_err());
    }
}
