//! What users are told about.

use super::Invalid;

/// A kind of notification; preferences are kept per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Somebody sent the user a cupping report.
    ReportReceived,
    /// Something about the account changed that its owner should know.
    AccountSecurity,
    /// The account is new.
    AccountWelcome,
    /// Something became of an order.
    Order,
}

impl Kind {
    /// Every kind there is, in the order in which they are shown.
    pub(crate) const ALL: [Self; 4] =
        [Self::ReportReceived, Self::AccountSecurity, Self::AccountWelcome, Self::Order];

    /// The word of the contract and of the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ReportReceived => "report.received",
            Self::AccountSecurity => "account.security",
            Self::AccountWelcome => "account.welcome",
            Self::Order => "order",
        }
    }

    /// The kind that the database names, unless it is from another version.
    pub(crate) fn known(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Reads one of the words.
    pub(crate) fn parse(field: &str, word: &str) -> Result<Self, Invalid> {
        Self::known(word).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            Invalid::because("unknown_kind", field, format!("must be one of {}", known.join(", ")))
        })
    }
}
