//! What the catalog's words mean: types and rules, no storage, no clock.

use std::fmt;

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
}

impl fmt::Display for Roast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
