//! What a product list can be asked for, in one canonical form: equivalent queries are equal.

use std::borrow::Cow;

use proto::catalog::v1::{ListProductsRequest, Sort};

use crate::error::{Error, Text};
use crate::query::{Query, Subset};

/// The longest search term, in characters.
pub const SEARCH_CHARS_MAX: usize = 128;
/// How far numbered pages reach.
pub const OFFSET_MAX: u64 = 10_000;
/// Rows of a page when nothing is said.
pub const PER_PAGE_DEFAULT: u32 = 20;
const PER_PAGE_MAX: u64 = 100;
const CURSOR_BYTES_MAX: usize = 512;
/// More than any price: a trillion centavos.
const AMOUNT_MAX: u64 = 1_000_000_000_000;

/// The members of a product in a list, in the order of the answer.
pub const SUMMARY_FIELDS: &[&str] = &[
    "id",
    "slug",
    "name",
    "category",
    "price",
    "stock_band",
    "rating",
    "image",
    "is_featured",
    "is_new",
    "origin",
    "roast",
    "process",
    "sca_score",
    "version",
    "created_at",
];

/// A list of products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Where in the list.
    pub page: Page,
    /// Rows.
    pub per_page: u32,
    /// Only this category and what is below it.
    pub category: Category,
    /// In minor units, inclusive.
    pub min_price: Option<u64>,
    /// In minor units, inclusive.
    pub max_price: Option<u64>,
    /// `None` is the default of the list: relevance for a search, else newest first.
    pub sort: Option<Sort>,
    /// Trimmed, lower case, single spaces.
    pub search: Option<String>,
    /// Whether the total is wanted.
    pub count: Count,
    /// The members to show; `None` is all.
    pub fields: Option<Subset>,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// From 1.
    Number(u32),
    /// As an earlier answer gave it.
    Cursor(String),
}

/// Which category, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Category {
    /// All products.
    Any,
    /// By id.
    Id(u64),
    /// By slug.
    Slug(String),
}

/// Whether to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// The total is part of the answer.
    Total,
    /// It is not.
    Skip,
}

impl Listing {
    /// Reads the public list's query.
    pub fn parse(raw: &str) -> Result<Self, Error> {
        let mut query = Query::parse(raw)?;
        let listing = Self::take(&mut query)?;
        query.finish()?;
        Ok(listing)
    }

    /// Takes the list's parameters out of a query that may have more.
    pub fn take(query: &mut Query<'_>) -> Result<Self, Error> {
        let search = query.take("search").map(|term| normalised(&term)).transpose()?.flatten();
        let (page, per_page) = place(query)?;
        let category_id = query.integer("category_id", 1..=i64::MAX.unsigned_abs())?;
        let category = match (category_id, query.take("category")) {
            (Some(_), Some(_)) => {
                return Err(Error::parameter(
                    "category",
                    "não combina com category_id",
                    "does not go with category_id",
                ));
            }
            (Some(id), None) => Category::Id(id),
            (None, Some(slug)) if is_slug(&slug) => Category::Slug(slug.into_owned()),
            (None, Some(_)) => {
                return Err(Error::parameter(
                    "category",
                    "o slug de uma categoria: letras minúsculas, dígitos e hífens",
                    "a category's slug: lower-case letters, digits and hyphens",
                ));
            }
            (None, None) => Category::Any,
        };
        let min_price = query.integer("min_price", 0..=AMOUNT_MAX)?.filter(|amount| *amount > 0);
        let max_price = query.integer("max_price", 0..=AMOUNT_MAX)?;
        if min_price > max_price && max_price.is_some() {
            return Err(Error::parameter("min_price", "é maior que max_price", "is greater than max_price"));
        }
        let sort = query.choice(
            "sort",
            &[
                ("-created_at", Sort::CreatedAtDesc),
                ("created_at", Sort::CreatedAtAsc),
                ("price", Sort::PriceAsc),
                ("-price", Sort::PriceDesc),
                ("name", Sort::NameAsc),
                ("-name", Sort::NameDesc),
                ("relevance", Sort::Relevance),
            ],
        )?;
        let sort = match (sort, &search) {
            (Some(Sort::Relevance), None) => {
                return Err(Error::parameter("sort", "relevance exige search", "relevance needs search"));
            }
            (Some(Sort::Relevance), Some(_)) | (Some(Sort::CreatedAtDesc), None) => None,
            (sort, _) => sort,
        };
        let count = query.choice("count", &[("none", Count::Skip)])?.unwrap_or(Count::Total);
        let all = |chosen: &Subset| !(0..SUMMARY_FIELDS.len()).all(|field| chosen.contains(field));
        let fields = query.subset("fields", SUMMARY_FIELDS)?.filter(all);
        Ok(Self { page, per_page, category, min_price, max_price, sort, search, count, fields })
    }

    /// The question to the catalog.
    pub fn request(&self) -> ListProductsRequest {
        let (page, cursor) = match &self.page {
            Page::Number(number) => (*number, None),
            Page::Cursor(cursor) => (0, Some(cursor.clone())),
        };
        let (category_id, category_slug) = match &self.category {
            Category::Any => (None, None),
            Category::Id(id) => (Some(id.cast_signed()), None),
            Category::Slug(slug) => (None, Some(slug.clone())),
        };
        ListProductsRequest {
            page,
            per_page: self.per_page,
            cursor,
            category_id,
            category_slug,
            min_price_amount: self.min_price.map(u64::cast_signed),
            max_price_amount: self.max_price.map(u64::cast_signed),
            sort: self.sort.unwrap_or(Sort::Unspecified).into(),
            search: self.search.clone(),
            skip_count: self.count == Count::Skip,
            include_inactive: None,
        }
    }

    /// Whether the order or the choice of rows depends on prices.
    pub fn by_price(&self) -> bool {
        let sorted = matches!(self.sort, Some(Sort::PriceAsc | Sort::PriceDesc));
        sorted || self.min_price.is_some() || self.max_price.is_some()
    }

    /// Whether the order is neither the list's own nor that of prices.
    pub fn by_other(&self) -> bool {
        let by_time = matches!(self.sort, Some(Sort::CreatedAtAsc | Sort::CreatedAtDesc));
        let by_name = matches!(self.sort, Some(Sort::NameAsc | Sort::NameDesc));
        by_name || (by_time && self.search.is_some())
    }
}

/// Trimmed, lower case, words separated by one space; `None` when nothing is left.
fn normalised(term: &str) -> Result<Option<String>, Error> {
    if term.chars().count() > SEARCH_CHARS_MAX {
        return Err(Error::InvalidParameter {
            name: Cow::Borrowed("search"),
            detail: Text {
                pt: format!("até {SEARCH_CHARS_MAX} caracteres").into(),
                en: format!("up to {SEARCH_CHARS_MAX} characters").into(),
            },
        });
    }
    let mut normal = String::with_capacity(term.len());
    for word in term.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.extend(word.chars().flat_map(char::to_lowercase));
    }
    Ok((!normal.is_empty()).then_some(normal))
}

/// Takes where a page begins and how many rows it has: `page` or `cursor`, `per_page` or `limit`.
pub(crate) fn place(query: &mut Query<'_>) -> Result<(Page, u32), Error> {
    let cursor = query.take("cursor");
    let limit = query.integer("limit", 1..=PER_PAGE_MAX)?;
    let per_page = query.integer("per_page", 1..=PER_PAGE_MAX)?;
    let page = query.integer("page", 1..=u64::from(u32::MAX))?;
    if limit.is_some() && per_page.is_some() {
        return Err(Error::parameter("limit", "é o mesmo que per_page", "is the same as per_page"));
    }
    let per_page = limit.or(per_page).unwrap_or(u64::from(PER_PAGE_DEFAULT));
    let page = match (cursor, page) {
        (Some(_), Some(_)) => {
            return Err(Error::parameter("page", "não combina com cursor", "does not go with cursor"));
        }
        (Some(cursor), None) => Page::Cursor(checked_cursor(cursor)?),
        (None, page) => {
            let page = page.unwrap_or(1);
            if page.saturating_mul(per_page) > OFFSET_MAX {
                return Err(Error::OffsetTooDeep);
            }
            Page::Number(u32::try_from(page).expect("at most 10,000"))
        }
    };
    Ok((page, u32::try_from(per_page).expect("at most 100")))
}

fn checked_cursor(cursor: Cow<'_, str>) -> Result<String, Error> {
    let valid = (1..=CURSOR_BYTES_MAX).contains(&cursor.len())
        && cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte));
    if !valid {
        return Err(Error::parameter("cursor", "não é um cursor nosso", "is not a cursor of ours"));
    }
    Ok(cursor.into_owned())
}

/// Lower-case letters, digits and hyphens.
pub(crate) fn is_slug(slug: &str) -> bool {
    (1..=120).contains(&slug.len())
        && slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
