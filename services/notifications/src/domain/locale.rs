//! The languages that users are told things in.

use super::Invalid;

/// A language of the shop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Locale {
    /// Portuguese as in Brazil: the shop's own.
    #[default]
    PtBr,
    /// English.
    En,
}

impl Locale {
    /// The word of the contract and of the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PtBr => "pt-BR",
            Self::En => "en",
        }
    }

    /// The language so called, or the shop's own: a word of another version is no reason to say nothing.
    pub(crate) fn or_default(word: &str) -> Self {
        if word == Self::En.as_str() { Self::En } else { Self::PtBr }
    }

    /// Reads one of the words.
    pub(crate) fn parse(field: &str, word: &str) -> Result<Self, Invalid> {
        match word {
            "pt-BR" => Ok(Self::PtBr),
            "en" => Ok(Self::En),
            _ => Err(Invalid::value(field, "must be pt-BR or en")),
        }
    }
}
