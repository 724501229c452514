//! Which part of a feed is asked for.

use super::Invalid;

const LIMIT_MAX: u32 = 100;
/// The depth at which lists end: a feed does not keep more anyway.
const DEPTH_MAX: u64 = 10_000;

/// Which notifications count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    Unread,
}

/// A page of a feed, looked at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    limit: u32,
    offset: i64,
}

impl Page {
    /// `number` counts from 1 and `limit` is 1 to 100; their product is at most 10,000.
    pub(crate) fn parse(number: u32, limit: u32) -> Result<Self, Invalid> {
        if number == 0 {
            return Err(Invalid::value("page", "must be at least 1"));
        }
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Invalid::value("limit", format!("must be 1 to {LIMIT_MAX}")));
        }
        if u64::from(number) * u64::from(limit) > DEPTH_MAX {
            return Err(Invalid::because(
                "offset_too_deep",
                "page",
                format!("page times limit must be at most {DEPTH_MAX}"),
            ));
        }
        Ok(Self { limit, offset: i64::from(number - 1) * i64::from(limit) })
    }

    pub(crate) fn limit(self) -> i64 {
        i64::from(self.limit)
    }

    pub(crate) fn offset(self) -> i64 {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_at_ten_thousand() {
        assert_eq!(Page::parse(1, 100), Ok(Page { limit: 100, offset: 0 }));
        assert_eq!(Page::parse(100, 100), Ok(Page { limit: 100, offset: 9_900 }));
        let reason = |number, limit| Page::parse(number, limit).expect_err("refused").reason;
        assert_eq!(reason(101, 100), "offset_too_deep");
        assert_eq!(reason(u32::MAX, 100), "offset_too_deep");
        assert_eq!(reason(0, 10), "invalid_value");
        assert_eq!(reason(1, 0), "invalid_value");
        assert_eq!(reason(1, 101), "invalid_value");
    }
}
