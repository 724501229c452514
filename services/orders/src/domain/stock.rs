//! Corrections of stock by staff: by a difference, or by what was seen and what shall be.

use super::{Invalid, VariantId, words};

/// Goods that a correction may name.
/// The reply to so many is short enough to be kept for repeats.
const ADJUSTMENTS_MAX: usize = 500;
const REASON_CHARS_MAX: usize = 200;
/// More is a mistake of typing.
const ON_HAND_MAX: i32 = 1_000_000;

words! {
    /// What a buyer is told about a quantity.
    Band {
        In = "in",
        Low = "low",
        Out = "out",
    } else "must be in, low or out"
}

/// One correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adjustment {
    pub(crate) variant: VariantId,
    pub(crate) how: How,
    pub(crate) reason: String,
}

/// What a correction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    By(i32),
    /// Only from what was seen.
    FromTo(i32, i32),
}

/// Why a correction cannot be made to what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not what was seen.
    Changed,
    /// Less would be there than is promised, or less than nothing.
    BelowPromised,
    /// More than anybody has.
    TooMuch,
}

impl Refusal {
    /// The word that programs compare.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Changed => "stock_changed",
            Self::BelowPromised => "below_reserved",
            Self::TooMuch => "too_much",
        }
    }
}

impl How {
    /// Reads exactly one of the two ways.
    pub(crate) fn parse(
        field: &str,
        delta: Option<i32>,
        from: Option<i32>,
        to: Option<i32>,
    ) -> Result<Self, Invalid> {
        let counted = |count: i32| (0..=ON_HAND_MAX).contains(&count);
        match (delta, from, to) {
            (Some(delta), None, None) if delta != 0 && (-ON_HAND_MAX..=ON_HAND_MAX).contains(&delta) => {
                Ok(Self::By(delta))
            }
            (None, Some(from), Some(to)) if counted(from) && counted(to) => Ok(Self::FromTo(from, to)),
            _ => Err(Invalid::value(field, "must have either a delta that is not 0, or from and to")),
        }
    }

    /// The difference for a level with so many there and so many promised; `backorder` sells what is not there.
    pub(crate) fn difference(
        self,
        on_hand: i32,
        reserved: i32,
        backorder: Backorder,
    ) -> Result<i32, Refusal> {
        let delta = match self {
            Self::By(delta) => delta,
            Self::FromTo(from, _) if from != on_hand => return Err(Refusal::Changed),
            Self::FromTo(from, to) => to - from,
        };
        let after = i64::from(on_hand) + i64::from(delta);
        let least = match backorder {
            Backorder::Sold => 0,
            Backorder::Refused => i64::from(reserved),
        };
        if after < least.max(0) {
            Err(Refusal::BelowPromised)
        } else if after > i64::from(ON_HAND_MAX) {
            Err(Refusal::TooMuch)
        } else {
            Ok(delta)
        }
    }
}

/// Whether goods that are not there are sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backorder {
    Sold,
    Refused,
}

/// One correction as it was asked: variant, location, delta, from, to, reason.
pub(crate) type Asked = (i64, i32, Option<i32>, Option<i32>, Option<i32>, String);

/// Reads a list of corrections: 1 to 1,000, each variant once.
pub(crate) fn adjustments(asked: Vec<Asked>) -> Result<Vec<Adjustment>, Invalid> {
    if !(1..=ADJUSTMENTS_MAX).contains(&asked.len()) {
        return Err(Invalid::value("adjustments", format!("must be 1 to {ADJUSTMENTS_MAX}")));
    }
    let mut seen = std::collections::HashSet::new();
    let mut read = Vec::with_capacity(asked.len());
    for (index, (variant, location, delta, from, to, reason)) in asked.into_iter().enumerate() {
        let field = |name: &str| format!("adjustments.{index}.{name}");
        let variant = VariantId::parse(&field("variant_id"), variant)?;
        if !seen.insert(variant) {
            return Err(Invalid::value(field("variant_id"), "must be named once"));
        }
        if !(0..=1).contains(&location) {
            return Err(Invalid::value(field("location_id"), "must be 1: there is one location"));
        }
        let how = How::parse(&format!("adjustments.{index}"), delta, from, to)?;
        let plain = !reason.trim().is_empty() && !reason.chars().any(char::is_control);
        if !plain || reason.chars().nth(REASON_CHARS_MAX).is_some() {
            return Err(Invalid::value(field("reason"), "must be one line of 1 to 200 characters"));
        }
        read.push(Adjustment { variant, how, reason });
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correction_is_by_a_difference_or_from_what_was_seen() {
        let parse = |delta, from, to| How::parse("f", delta, from, to).ok();
        assert_eq!(parse(Some(-3), None, None), Some(How::By(-3)));
        assert_eq!(parse(None, Some(12), Some(40)), Some(How::FromTo(12, 40)));
        for (delta, from, to) in [
            (None, None, None),
            (Some(0), None, None),
            (Some(1), Some(1), Some(2)),
            (None, Some(1), None),
            (None, None, Some(1)),
            (None, Some(-1), Some(1)),
            (None, Some(1), Some(-1)),
            (Some(i32::MIN), None, None),
        ] {
            assert_eq!(parse(delta, from, to), None, "{delta:?} {from:?} {to:?}");
        }
    }

    #[test]
    fn what_is_promised_stays() {
        let by = |delta| How::By(delta).difference(10, 4, Backorder::Refused);
        assert_eq!((by(5), by(-6), by(-7)), (Ok(5), Ok(-6), Err(Refusal::BelowPromised)));
        assert_eq!(by(ON_HAND_MAX), Err(Refusal::TooMuch));
        assert_eq!(How::By(-10).difference(10, 40, Backorder::Sold), Ok(-10));
        assert_eq!(How::By(-11).difference(10, 40, Backorder::Sold), Err(Refusal::BelowPromised));
        assert_eq!(How::FromTo(9, 12).difference(10, 4, Backorder::Refused), Err(Refusal::Changed));
        assert_eq!(How::FromTo(10, 12).difference(10, 4, Backorder::Refused), Ok(2));
    }

    #[test]
    fn each_variant_is_corrected_once() {
        let asked = |variant| (variant, 0, Some(1), None, None, "contagem".to_owned());
        assert_eq!(adjustments(vec![asked(1), asked(2)]).unwrap().len(), 2);
        let field = |asked| adjustments(asked).unwrap_err().field;
        assert_eq!(field(vec![asked(1), asked(1)]), "adjustments.1.variant_id");
        assert_eq!(field(vec![]), "adjustments");
        assert_eq!(field((1..=1_001).map(asked).collect()), "adjustments");
        assert_eq!(field(vec![(1, 2, Some(1), None, None, "r".to_owned())]), "adjustments.0.location_id");
        assert_eq!(field(vec![(1, 1, Some(1), None, None, " ".to_owned())]), "adjustments.0.reason");
        assert_eq!(field(vec![(0, 1, Some(1), None, None, "r".to_owned())]), "adjustments.0.variant_id");
    }
}
