//! Changes of some fields of a product.

use serde_json::Value;

use super::product::{ProductFields, ScaScore};
use super::{CategoryId, Invalid, Roast};

/// What becomes of each field; absent ones stay.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    pub(crate) slug: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) category: Change<CategoryId>,
    pub(crate) origin: Change<String>,
    pub(crate) roast: Change<Roast>,
    pub(crate) process: Change<String>,
    pub(crate) sca_score: Change<ScaScore>,
    pub(crate) attributes: Option<Value>,
    pub(crate) is_active: Option<bool>,
    pub(crate) is_featured: Option<bool>,
}

/// What becomes of a field that may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change<T> {
    Keep,
    Clear,
    Set(T),
}

impl<T> Change<T> {
    /// A field may be set or cleared, not both.
    pub(crate) fn parse(
        field: &str,
        value: Option<T>,
        is_cleared: impl Fn(&str) -> bool,
    ) -> Result<Self, Invalid> {
        match (value, is_cleared(field)) {
            (Some(_), true) => Err(Invalid::value(field, "cannot be set and cleared at once")),
            (Some(value), false) => Ok(Self::Set(value)),
            (None, true) => Ok(Self::Clear),
            (None, false) => Ok(Self::Keep),
        }
    }

    fn apply(self, old: &Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Keep => old.clone(),
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl Patch {
    /// What the product's fields become.
    pub(crate) fn apply(self, old: &ProductFields) -> ProductFields {
        ProductFields {
            slug: self.slug.unwrap_or_else(|| old.slug.clone()),
            name: self.name.unwrap_or_else(|| old.name.clone()),
            description: self.description.unwrap_or_else(|| old.description.clone()),
            category: self.category.apply(&old.category),
            origin: self.origin.apply(&old.origin),
            roast: self.roast.apply(&old.roast),
            process: self.process.apply(&old.process),
            sca_score: self.sca_score.apply(&old.sca_score),
            attributes: self.attributes.unwrap_or_else(|| old.attributes.clone()),
            is_active: self.is_active.unwrap_or(old.is_active),
            is_featured: self.is_featured.unwrap_or(old.is_featured),
        }
    }
}
