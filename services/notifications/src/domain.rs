//! What the words of this service mean: types and rules, no storage, no clock, no transport.

pub(crate) mod kind;
pub(crate) mod letter;
pub(crate) mod locale;
pub(crate) mod message;
pub(crate) mod money;
pub(crate) mod order;
pub(crate) mod page;
pub(crate) mod preferences;

/// An input that breaks a rule: which field, which rule, and the rule in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub(crate) struct Invalid {
    /// As the contract names it, with an index where it repeats: `preferences[0].kind`.
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

/// An id, which starts at 1.
pub(crate) fn id(field: &str, id: i64) -> Result<i64, Invalid> {
    if id > 0 { Ok(id) } else { Err(Invalid::value(field, "must be a positive integer")) }
}

/// A text on one line: 1 to `chars_max` characters, no control characters.
pub(crate) fn line(field: &str, text: String, chars_max: usize) -> Result<String, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::value(field, "must not be empty"));
    }
    if text.chars().nth(chars_max).is_some() {
        return Err(Invalid::value(field, format!("must have at most {chars_max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::value(field, "must be one line without control characters"));
    }
    Ok(text)
}
