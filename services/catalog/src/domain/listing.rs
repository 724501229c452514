//! What a list of products is asked for: which ones, in which order, which part.

use super::cursor::{Cursor, Fingerprint};
use super::{CategoryId, Invalid, price};

const PER_PAGE_MAX: u32 = 100;
/// Deeper pages are reached by cursor: a database walks over every row that it skips.
const OFFSET_ROWS_MAX: u64 = 10_000;
/// Totals of filtered lists are exact up to here.
pub(crate) const COUNT_MAX: i64 = 10_000;
/// Words that more products hold are common.
pub(crate) const RARE_MAX: i64 = 2_000;
const SHELF_MAX: u32 = 50;

/// A part of a list, ready to be looked up.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) filter: Filter,
    pub(crate) sort: Sort,
    pub(crate) part: Part,
    pub(crate) per_page: PerPage,
    pub(crate) count: Count,
}

/// Which products belong to the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) category: Option<CategoryKey>,
    pub(crate) prices: PriceRange,
    pub(crate) search: Option<String>,
    pub(crate) visibility: Visibility,
}

/// A category with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CategoryKey {
    Id(CategoryId),
    Slug(String),
    /// Both name the same category, or none.
    Both(CategoryId, String),
}

impl CategoryKey {
    pub(crate) fn id(&self) -> Option<CategoryId> {
        match self {
            Self::Id(id) | Self::Both(id, _) => Some(*id),
            Self::Slug(_) => None,
        }
    }

    pub(crate) fn slug(&self) -> Option<&str> {
        match self {
            Self::Slug(slug) | Self::Both(_, slug) => Some(slug),
            Self::Id(_) => None,
        }
    }
}

/// The lowest price of a product lies between these, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PriceRange {
    pub(crate) min: i64,
    pub(crate) max: i64,
}

impl PriceRange {
    /// Every price there can be.
    pub(crate) const ALL: Self = Self { min: 0, max: i64::MAX };

    /// Accepts ends of 0 to the highest price, in order.
    pub(crate) fn parse(
        min_field: &str,
        min: Option<i64>,
        max_field: &str,
        max: Option<i64>,
    ) -> Result<Self, Invalid> {
        let allowed = 0..=price::AMOUNT_MAX;
        for (field, end) in [(min_field, min), (max_field, max)] {
            if end.is_some_and(|end| !allowed.contains(&end)) {
                return Err(Invalid::value(field, format!("must be 0 to {}", price::AMOUNT_MAX)));
            }
        }
        let range = Self { min: min.unwrap_or(Self::ALL.min), max: max.unwrap_or(Self::ALL.max) };
        if range.min > range.max {
            return Err(Invalid::value(min_field, format!("must not be above {max_field}")));
        }
        Ok(range)
    }
}

/// Whose eyes the list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// What buyers see.
    Active,
    /// Products that are not for sale too.
    Every,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) by: SortBy,
    pub(crate) order: Order,
}

/// What the order goes by; equal ones follow their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SortBy {
    CreatedAt,
    Price,
    Name,
    /// How well the words were found; only with a search.
    Relevance,
    /// How often people buy it; stands in for relevance where nearly everything is relevant.
    Popularity,
}

/// How much a search says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frequency {
    /// Few products hold the words: they are looked up, and ranked by how they hold them.
    Rare,
    /// So many products hold the words that a walk through any list meets them all the time, and that
    /// ranking would say nothing but cost much.
    Common,
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

impl Order {
    pub(crate) fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// Where the part of the list begins.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Page(PageNumber),
    At(Cursor),
}

/// How many products a page has: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PerPage(u32);

impl PerPage {
    /// Accepts 1 to 100.
    pub(crate) fn parse(field: &str, per_page: u32) -> Result<Self, Invalid> {
        if (1..=PER_PAGE_MAX).contains(&per_page) {
            Ok(Self(per_page))
        } else {
            Err(Invalid::value(field, format!("must be 1 to {PER_PAGE_MAX}")))
        }
    }

    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

/// A page that is near enough to be counted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageNumber(u32);

impl PageNumber {
    /// Accepts pages from 1 whose last row is among the first 10,000.
    pub(crate) fn parse(field: &str, page: u32, per_page: PerPage) -> Result<Self, Invalid> {
        if page == 0 {
            return Err(Invalid::value(field, "must be at least 1"));
        }
        if u64::from(page) * u64::from(per_page.0) > OFFSET_ROWS_MAX {
            let detail =
                format!("page times per_page must be at most {OFFSET_ROWS_MAX}; go on with next_cursor");
            return Err(Invalid::because("offset_too_deep", field, detail));
        }
        Ok(Self(page))
    }

    pub(crate) fn get(self) -> u32 {
        self.0
    }

    /// Rows before this page.
    pub(crate) fn offset(self, per_page: PerPage) -> i64 {
        i64::from(self.0 - 1) * i64::from(per_page.0)
    }
}

/// Whether the caller wants to know how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Wanted,
    Skipped,
}

/// How many products a shelf such as the featured ones shows: 1 to 50.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShelfSize(u32);

impl ShelfSize {
    /// Accepts 1 to 50.
    pub(crate) fn parse(field: &str, limit: u32) -> Result<Self, Invalid> {
        if (1..=SHELF_MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(Invalid::value(field, format!("must be 1 to {SHELF_MAX}")))
        }
    }

    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

/// The part of the question that a cursor belongs to: everything but where to go on.
pub(crate) fn fingerprint(filter: &Filter, sort: Sort) -> Fingerprint {
    let mut question = blake3::Hasher::new();
    // Numbers have one length and texts say theirs, so two questions never spell the same bytes.
    let mut number = |n: i64| {
        question.update(&n.to_le_bytes());
    };
    number(match sort.by {
        SortBy::CreatedAt => 1,
        SortBy::Price => 2,
        SortBy::Name => 3,
        SortBy::Relevance => 4,
        SortBy::Popularity => 5,
    });
    number(match sort.order {
        Order::Ascending => 1,
        Order::Descending => 2,
    });
    number(match filter.visibility {
        Visibility::Active => 1,
        Visibility::Every => 2,
    });
    number(filter.prices.min);
    number(filter.prices.max);
    number(filter.category.as_ref().and_then(CategoryKey::id).map_or(0, CategoryId::get));
    for text in [filter.category.as_ref().and_then(CategoryKey::slug), filter.search.as_deref()] {
        let text = text.unwrap_or("");
        question.update(&(text.len() as u64).to_le_bytes());
        question.update(text.as_bytes());
    }
    Fingerprint(*question.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_where_cursors_begin() {
        let per_page = |n| PerPage::parse("per_page", n);
        assert!(per_page(0).is_err());
        assert!(per_page(101).is_err());
        let hundred = per_page(100).unwrap();
        assert!(PageNumber::parse("page", 0, hundred).is_err());
        assert!(PageNumber::parse("page", 100, hundred).is_ok());
        assert_eq!(PageNumber::parse("page", 101, hundred).unwrap_err().reason, "offset_too_deep");
        assert_eq!(PageNumber::parse("page", u32::MAX, hundred).unwrap_err().reason, "offset_too_deep");
        assert_eq!(
            PageNumber::parse("page", 10_000, per_page(1).unwrap()).unwrap().offset(per_page(1).unwrap()),
            9_999
        );
    }

    #[test]
    fn price_ranges_are_in_order() {
        let range = |min, max| PriceRange::parse("min", min, "max", max).map_err(|r| r.field);
        assert_eq!(range(None, None), Ok(PriceRange::ALL));
        assert_eq!(range(Some(5), Some(5)), Ok(PriceRange { min: 5, max: 5 }));
        assert_eq!(range(Some(6), Some(5)), Err("min".into()));
        assert_eq!(range(Some(-1), None), Err("min".into()));
        assert_eq!(range(None, Some(i64::MAX)), Err("max".into()));
    }
}
