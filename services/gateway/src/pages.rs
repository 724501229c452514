//! Pages of a user's own lists, and what they can be narrowed to, in one canonical form.

use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::listing::OFFSET_MAX;
use crate::query::Query;
use crate::views::rfc3339;

/// Rows of a page when nothing is said.
pub const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u64 = 100;

/// What an event of an agenda can be.
pub const KINDS: [&str; 5] = ["degustacao", "aula", "cupping", "visita", "torra"];
/// How far an event has come.
pub const STATUSES: [&str; 3] = ["scheduled", "done", "cancelled"];
/// What a coffee master can be.
pub const SPECIALTIES: [&str; 5] = ["barista", "mestre_de_torra", "q_grader", "produtor", "instrutor"];
/// What a user can be to a report.
pub const ROLES: [&str; 2] = ["sender", "receiver"];

/// A page by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// From 1.
    pub page: u32,
    /// 1 to 100.
    pub limit: u32,
}

impl Pages {
    /// The page that a client sees who asks for nothing in particular.
    pub const FIRST: Self = Self { page: 1, limit: LIMIT_DEFAULT };

    /// Takes `page` and `limit`.
    pub fn take(query: &mut Query<'_>) -> Result<Self, Error> {
        let limit = query.integer("limit", 1..=LIMIT_MAX)?.unwrap_or(u64::from(LIMIT_DEFAULT));
        let page = query.integer("page", 1..=u64::from(u32::MAX))?.unwrap_or(1);
        if page.saturating_mul(limit) > OFFSET_MAX {
            return Err(Error::OffsetTooDeep);
        }
        let small = |number| u32::try_from(number).expect("at most 10,000");
        Ok(Self { page: small(page), limit: small(limit) })
    }

    /// Appends what is not the default, sorted: keys that name only the user mean the first page.
    pub(crate) fn unusual(self, key: &mut String) -> std::fmt::Result {
        if self.limit != Self::FIRST.limit {
            write!(key, ":limit:{}", self.limit)?;
        }
        if self.page != Self::FIRST.page { write!(key, ":page:{}", self.page) } else { Ok(()) }
    }
}

/// Which events of an agenda.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Those that end after it.
    pub from: Option<OffsetDateTime>,
    /// Those of this kind.
    pub kind: Option<&'static str>,
    /// Those that have come this far.
    pub status: Option<&'static str>,
    /// Those that start before it.
    pub to: Option<OffsetDateTime>,
}

impl EventFilter {
    /// Takes `from`, `to`, `kind` and `status`.
    pub fn take(query: &mut Query<'_>) -> Result<Self, Error> {
        Ok(Self {
            from: moment(query, "from")?,
            kind: query.choice("kind", &KINDS.map(|name| (name, name)))?,
            status: query.choice("status", &STATUSES.map(|name| (name, name)))?,
            to: moment(query, "to")?,
        })
    }

    /// What is set, sorted by name.
    pub(crate) fn pairs<E>(&self, mut each: impl FnMut(&str, &str) -> Result<(), E>) -> Result<(), E> {
        if let Some(from) = self.from {
            each("from", &rfc3339(from))?;
        }
        if let Some(kind) = self.kind {
            each("kind", kind)?;
        }
        if let Some(status) = self.status {
            each("status", status)?;
        }
        if let Some(to) = self.to {
            each("to", &rfc3339(to))?;
        }
        Ok(())
    }
}

/// A moment of RFC 3339, to the millisecond: what keys and answers show is what is asked.
pub(crate) fn moment(query: &mut Query<'_>, name: &'static str) -> Result<Option<OffsetDateTime>, Error> {
    let Some(text) = query.take(name) else { return Ok(None) };
    let refused = || {
        Error::parameter(
            name,
            "um instante RFC 3339, como 2026-11-22T09:00:00Z",
            "an RFC 3339 moment such as 2026-11-22T09:00:00Z",
        )
    };
    let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_not_a_moment| refused())?;
    let utc = moment.checked_to_offset(time::UtcOffset::UTC).ok_or_else(refused)?;
    let utc = utc.replace_millisecond(utc.millisecond()).map_err(|_impossible| refused())?;
    // Four digits of a year, as they are written back.
    if (1..=9999).contains(&utc.year()) { Ok(Some(utc)) } else { Err(refused()) }
}
