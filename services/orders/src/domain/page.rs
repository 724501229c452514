//! Pages of lists, by number.

use super::Invalid;

const PER_PAGE_MAX: u32 = 100;
/// The last row that pages by number reach: beyond it the database would read what it throws away.
const REACH_MAX: u32 = 10_000;

/// Which rows of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    number: u32,
    per_page: u32,
}

impl Page {
    /// Pages start at 1 and hold 1 to 100 rows; `number * per_page` is at most 10,000.
    pub(crate) fn parse(number: u32, per_page: u32) -> Result<Self, Invalid> {
        if !(1..=PER_PAGE_MAX).contains(&per_page) {
            return Err(Invalid::value("per_page", format!("must be 1 to {PER_PAGE_MAX}")));
        }
        if number == 0 {
            return Err(Invalid::value("page", "must be at least 1"));
        }
        match number.checked_mul(per_page) {
            Some(..=REACH_MAX) => Ok(Self { number, per_page }),
            _ => {
                let rule = format!("page times per_page must be at most {REACH_MAX}");
                Err(Invalid::because("offset_too_deep", "page", rule))
            }
        }
    }

    pub(crate) fn limit(self) -> i64 {
        self.per_page.into()
    }

    /// Rows before the page.
    pub(crate) fn offset(self) -> i64 {
        i64::from(self.number - 1) * i64::from(self.per_page)
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
        for (number, per_page, field, reason) in [
            (101, 100, "page", "offset_too_deep"),
            (u32::MAX, 100, "page", "offset_too_deep"),
            (0, 20, "page", "invalid_value"),
            (1, 0, "per_page", "invalid_value"),
            (1, 101, "per_page", "invalid_value"),
        ] {
            let refusal = Page::parse(number, per_page).unwrap_err();
            assert_eq!((refusal.field.as_str(), refusal.reason), (field, reason), "{number} {per_page}");
        }
    }
}
