//! What people may ask of their own data, and how far it is.

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataJobKind {
    /// Everything known about the user, as one document.
    Export,
    /// The user made unrecognisable.
    Erasure,
}

impl DataJobKind {
    /// The word of the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Erasure => "erasure",
        }
    }
}

/// Why a job failed for good: a word that the contract lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobFailure {
    AgendaUnavailable,
    NotificationsUnavailable,
    OrdersUnavailable,
    /// The export is longer than an answer may be.
    TooLarge,
    /// Nobody would be left to administer the shop.
    LastAdmin,
    Internal,
}

impl JobFailure {
    /// The word of the contract and of the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AgendaUnavailable => "agenda_unavailable",
            Self::NotificationsUnavailable => "notifications_unavailable",
            Self::OrdersUnavailable => "orders_unavailable",
            Self::TooLarge => "too_large",
            Self::LastAdmin => "last_admin",
            Self::Internal => "internal",
        }
    }
}
