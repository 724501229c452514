//! What the catalog's words mean: types and rules, no storage, no clock, no transport.

pub(crate) mod category;
pub(crate) mod cursor;
pub(crate) mod image;
pub(crate) mod listing;
pub(crate) mod patch;
pub(crate) mod price;
pub(crate) mod product;
pub(crate) mod quote;
pub(crate) mod text;

use time::{Duration, OffsetDateTime};

/// How long a product counts as new.
const NEW_FOR: Duration = Duration::days(30);

/// Says whether a product of that age is still called new.
pub(crate) fn is_new(created_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    now - created_at < NEW_FOR
}

/// An input that breaks a rule: which field, which rule, and the rule in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub(crate) struct Invalid {
    /// As the contract names it, with an index where it repeats: `variants[0].sku`.
    pub(crate) field: String,
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

impl Invalid {
    /// The common refusal: the value is not one that the field may have.
    pub(crate) fn value(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::because("invalid_value", field, detail)
    }

    /// A refusal that callers tell apart by its reason.
    pub(crate) fn because(reason: &'static str, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), reason, detail: detail.into() }
    }
}

/// Identifies a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProductId(i64);

/// Identifies a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CategoryId(i64);

/// Identifies a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VariantId(i64);

impl ProductId {
    /// Ids start at 1.
    pub(crate) fn parse(field: &str, id: i64) -> Result<Self, Invalid> {
        positive(field, id).map(Self)
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

impl CategoryId {
    /// Ids start at 1.
    pub(crate) fn parse(field: &str, id: i64) -> Result<Self, Invalid> {
        positive(field, id).map(Self)
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

impl VariantId {
    /// Ids start at 1.
    pub(crate) fn parse(field: &str, id: i64) -> Result<Self, Invalid> {
        positive(field, id).map(Self)
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

fn positive(field: &str, id: i64) -> Result<i64, Invalid> {
    if id > 0 { Ok(id) } else { Err(Invalid::value(field, "must be a positive integer")) }
}

/// Which state of an aggregate a writer has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(i64);

impl Version {
    /// Versions start at 1; 0 is a caller who did not say.
    pub(crate) fn parse(field: &str, version: i64) -> Result<Self, Invalid> {
        match version {
            1.. => Ok(Self(version)),
            0 => Err(Invalid::because("version_required", field, "must be given")),
            _ => Err(Invalid::value(field, "must be a positive integer")),
        }
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

/// How much there is, as far as buyers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StockBand {
    In,
    Low,
    Out,
}

impl StockBand {
    /// The word of the contract and of the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Low => "low",
            Self::Out => "out",
        }
    }

    /// Reads one of the three words.
    pub(crate) fn parse(field: &str, word: &str) -> Result<Self, Invalid> {
        match word {
            "in" => Ok(Self::In),
            "low" => Ok(Self::Low),
            "out" => Ok(Self::Out),
            _ => Err(Invalid::value(field, "must be in, low or out")),
        }
    }
}

/// How dark the beans are roasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roast {
    Light,
    Medium,
    Dark,
}

impl Roast {
    /// The word of the contract and of the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Light => "clara",
            Self::Medium => "media",
            Self::Dark => "escura",
        }
    }

    /// Reads one of the three words.
    pub(crate) fn parse(field: &str, word: &str) -> Result<Self, Invalid> {
        match word {
            "clara" => Ok(Self::Light),
            "media" => Ok(Self::Medium),
            "escura" => Ok(Self::Dark),
            _ => Err(Invalid::value(field, "must be clara, media or escura")),
        }
    }
}
