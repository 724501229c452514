//! What a caller of the catalog can act on, and what we must repair.

use rls::DatabaseError;

use crate::domain::Invalid;

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An input breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such thing, or none that this caller may see.
    #[error("no such {}", .0.noun())]
    NotFound(Missing),
    /// Somebody else changed the product first.
    #[error("expected version {expected}, current version {current}")]
    StaleVersion { expected: i64, current: i64 },
    /// A value that only one may have has one already.
    #[error("the {} is taken", .0.noun())]
    Taken(Unique),
    /// The token proves nobody.
    #[error("the caller is not authenticated")]
    Unauthenticated(#[from] rls::Unauthenticated),
    /// Nobody said who they are, and this is not for everybody.
    #[error("this needs a signed-in member of staff")]
    Anonymous,
    /// The caller may not do this.
    #[error("this is for staff")]
    Forbidden,
    /// A repeat of a request that is under way, was another, or was refused.
    #[error(transparent)]
    Repeat(#[from] idempotency::Refused),
    /// The database did not do it, or did not say.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Product,
    Category,
    Image,
}

impl Missing {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Category => "category",
            Self::Image => "image",
        }
    }
}

/// What only one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unique {
    Slug,
    Sku,
}

impl Unique {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Slug => "slug",
            Self::Sku => "SKU",
        }
    }
}

/// A named constraint is a rule with a name.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error.as_database_error().and_then(|refusal| refusal.constraint());
        match constraint {
            Some("products_slug_taken") => Self::Taken(Unique::Slug),
            Some("variants_sku_taken") => Self::Taken(Unique::Sku),
            Some("products_category_unknown") => Self::unknown_category(),
            _ => Self::Database(DatabaseError::from(error)),
        }
    }
}

impl Error {
    /// A product was to be put into a category that there is not.
    pub(crate) fn unknown_category() -> Self {
        Self::Invalid(Invalid::because("category_not_found", "category_id", "there is no such category"))
    }
}
