//! Pages of lists, by number.

use super::Invalid;

const LIMIT_MAX: u32 = 100;
/// The last row that pages by number reach: beyond it the database would read what it throws away.
const REACH_MAX: u32 = 10_000;

/// Which rows of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    number: u32,
    limit: u32,
}

impl Page {
    /// What a caller gets who does not say.
    pub(crate) const FIRST: Self = Self { number: 1, limit: 20 };

    /// Pages start at 1 and hold 1 to 100 rows; `number * limit` is at most 10,000.
    pub(crate) fn parse(number: u32, limit: u32) -> Result<Self, Invalid> {
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Invalid::value("limit", format!("must be 1 to {LIMIT_MAX}")));
        }
        if number == 0 {
            return Err(Invalid::value("page", "must be at least 1"));
        }
        match number.checked_mul(limit) {
            Some(..=REACH_MAX) => Ok(Self { number, limit }),
            _ => {
                let rule = format!("page times limit must be at most {REACH_MAX}");
                Err(Invalid::because("offset_too_deep", "page", rule))
            }
        }
    }

    pub(crate) fn limit(self) -> i64 {
        self.limit.into()
    }

    /// Rows before the page.
    pub(crate) fn offset(self) -> i64 {
        i64::from(self.number - 1) * i64::from(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_reach_ten_thousand_rows() {
        let last = Page::parse(100, 100).unwrap();
        assert_eq!((last.offset(), last.limit()), (9_900, 100));
        assert_eq!(Page::parse(10_000, 1).unwrap().offset(), 9_999);
        for (number, limit, field, reason) in [
            (101, 100, "page", "offset_too_deep"),
            (u32::MAX, 100, "page", "offset_too_deep"),
            (0, 20, "page", "invalid_value"),
            (1, 0, "limit", "invalid_value"),
            (1, 101, "limit", "invalid_value"),
        ] {
            let refusal = Page::parse(number, limit).unwrap_err();
            assert_eq!((refusal.field.as_str(), refusal.reason), (field, reason), "{number} {limit}");
        }
    }
}
