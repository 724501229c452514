//! What the words of accounts mean: types and rules, no storage, no clock, no transport.

pub(crate) mod address;
pub(crate) mod cep;
pub(crate) mod data_job;
pub(crate) mod email;
pub(crate) mod mail;
pub(crate) mod password;
pub(crate) mod person;
pub(crate) mod totp;
pub(crate) mod user;

/// An input that breaks a rule: which field, which rule, and the rule in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub(crate) struct Invalid {
    /// As the contract names it.
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

/// Which state of a row a writer has seen.
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

/// Reads an id; they start at 1.
pub(crate) fn id(field: &str, id: i64) -> Result<i64, Invalid> {
    if id > 0 { Ok(id) } else { Err(Invalid::value(field, "must be a positive integer")) }
}
