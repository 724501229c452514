//! `If-Match`: the version that a change was made for (RFC 9110, 13.1.1).
//!
//! Versions are entity tags that name kind and id too: `"u-7-v3"` is version 3 of user 7, and no version of
//! anything else.

use actix_web::http::header::{HeaderMap, IF_MATCH};

use crate::error::{Current, Error};
use crate::negotiation::{EntityTag, tags};

/// The entity tag of a version; `kind` is the one or two letters of the resource.
pub(crate) fn version_tag(kind: &str, id: impl std::fmt::Display, version: i64) -> String {
    format!("\"{kind}-{id}-v{version}\"")
}

/// The change came for another version than the current one, which is shown.
pub(crate) fn failed(current: Option<(String, Vec<u8>)>) -> Error {
    let current = current.map(|(etag, body)| Box::new(Current { etag, body }));
    Error::PreconditionFailed { current }
}

/// What an `If-Match` header asks of one resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Precondition<'h> {
    header: &'h str,
    kind: &'static str,
    name: Name<'h>,
}

/// What a resource is called.
#[derive(Debug, Clone, Copy)]
enum Name<'h> {
    Id(i64),
    Text(&'h str),
}

impl<'h> Precondition<'h> {
    /// The header, if there is one.
    pub(crate) fn of(headers: &'h HeaderMap, kind: &'static str, id: i64) -> Option<Self> {
        // What is not text names no version of ours.
        let header = headers.get(IF_MATCH)?.to_str().unwrap_or_default();
        Some(Self { header, kind, name: Name::Id(id) })
    }

    /// The header, which must be there, for a resource that has a word for a name.
    pub(crate) fn required_of(
        headers: &'h HeaderMap,
        kind: &'static str,
        name: &'h str,
    ) -> Result<Self, Error> {
        let of = Self::of(headers, kind, 0).ok_or(Error::PreconditionRequired)?;
        Ok(Self { name: Name::Text(name), ..of })
    }

    /// The header, which must be there.
    pub(crate) fn required(headers: &'h HeaderMap, kind: &'static str, id: i64) -> Result<Self, Error> {
        Self::of(headers, kind, id).ok_or(Error::PreconditionRequired)
    }

    /// The one version that it names. `None` when only the current version can tell: `*`, several versions, or
    /// none of this resource.
    pub(crate) fn version(&self) -> Option<i64> {
        let mut versions = tags(self.header).map(|tag| self.version_of(tag));
        match (versions.next(), versions.next()) {
            (Some(version), None) => version,
            _ => None,
        }
    }

    /// Whether it holds for this version.
    pub(crate) fn names(&self, current: i64) -> bool {
        tags(self.header).any(|tag| tag == EntityTag::Any || self.version_of(tag) == Some(current))
    }

    fn version_of(&self, tag: EntityTag<'_>) -> Option<i64> {
        let EntityTag::Strong(tag) = tag else { return None };
        let rest = tag.strip_prefix('"')?.strip_prefix(self.kind)?.strip_prefix('-')?;
        let (id, version) = rest.strip_suffix('"')?.rsplit_once("-v")?;
        let number = |text| crate::query::digits(text).and_then(|number| i64::try_from(number).ok());
        let named = match self.name {
            Name::Id(expected) => number(id) == Some(expected),
            Name::Text(expected) => id == expected,
        };
        number(version).filter(|_| named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_version_of_one_thing() {
        assert_eq!(version_tag("ad", 5, 3), "\"ad-5-v3\"");
        for (header, version, names_three) in [
            ("\"u-7-v3\"", Some(3), true),
            ("\"u-7-v4\"", Some(4), false),
            ("*", None, true),
            ("\"u-7-v2\", \"u-7-v3\"", None, true),
            ("\"u-8-v3\"", None, false),
            ("\"ad-7-v3\"", None, false),
            ("W/\"u-7-v3\"", None, false),
            ("\"u-7-v\"", None, false),
            ("\"u-7-v-3\"", None, false),
            ("u-7-v3", None, false),
            ("\"0123456789abcdef0123456789abcdef\"", None, false),
            ("", None, false),
        ] {
            let precondition = Precondition { header, kind: "u", name: Name::Id(7) };
            assert_eq!(precondition.version(), version, "{header}");
            assert_eq!(precondition.names(3), names_three, "{header}");
        }
        let coupon = |header| Precondition { header, kind: "cp", name: Name::Text("NATAL-v2") };
        assert_eq!(coupon("\"cp-NATAL-v2-v3\"").version(), Some(3));
        assert_eq!(coupon("\"cp-NATAL-v3\"").version(), None);
    }
}
