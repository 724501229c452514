//! Events of an agenda: what they are, when, and with whom.

use time::{Duration, OffsetDateTime};

use super::{Invalid, ProfessionalId, words};

/// Longer is a mistake of the year, not an event (X74). A leap year's worth.
const LENGTH_MAX: Duration = Duration::days(366);
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2100;

words! {
    /// What happens.
    Kind {
        Tasting = "degustacao",
        Class = "aula",
        Cupping = "cupping",
        Visit = "visita",
        Roast = "torra",
    } else "must be degustacao, aula, cupping, visita or torra"
}

words! {
    /// How far it is. Only what is scheduled takes up a professional's time.
    Status {
        Scheduled = "scheduled",
        Done = "done",
        Cancelled = "cancelled",
    } else "must be scheduled, done or cancelled"
}

/// The fields of an event, all of them valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventFields {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) professional: Option<ProfessionalId>,
    pub(crate) location: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) span: Span,
    pub(crate) status: Status,
}

/// From when to when, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    starts_at: OffsetDateTime,
    ends_at: OffsetDateTime,
}

impl Span {
    /// Accepts an end after the start, by a year at most, in the years 2000 to 2100 (UTC). Moments are cut to
    /// milliseconds, which is what readers are shown.
    pub(crate) fn parse(
        starts_field: &str,
        starts_at: OffsetDateTime,
        ends_field: &str,
        ends_at: OffsetDateTime,
    ) -> Result<Self, Invalid> {
        let starts_at = moment(starts_field, starts_at)?;
        let ends_at = moment(ends_field, ends_at)?;
        if ends_at <= starts_at {
            return Err(Invalid::value(ends_field, "must be after the start"));
        }
        if ends_at - starts_at > LENGTH_MAX {
            return Err(Invalid::value(ends_field, "must be at most a year after the start"));
        }
        Ok(Self { starts_at, ends_at })
    }

    pub(crate) fn starts_at(self) -> OffsetDateTime {
        self.starts_at
    }

    pub(crate) fn ends_at(self) -> OffsetDateTime {
        self.ends_at
    }
}

/// A moment of the years 2000 to 2100, in UTC, to the millisecond.
pub(crate) fn moment(field: &str, at: OffsetDateTime) -> Result<OffsetDateTime, Invalid> {
    let at = at.checked_to_offset(time::UtcOffset::UTC).filter(|at| YEARS.contains(&at.year()));
    let at = at.ok_or_else(|| Invalid::value(field, "must be in the years 2000 to 2100"))?;
    Ok(at.replace_nanosecond(u32::from(at.millisecond()) * 1_000_000).expect("a whole millisecond is valid"))
}

/// Which events a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Events that end after it.
    pub(crate) from: Option<OffsetDateTime>,
    /// Events that start before it.
    pub(crate) to: Option<OffsetDateTime>,
    pub(crate) kind: Option<Kind>,
    pub(crate) status: Option<Status>,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn events_end_after_they_start_by_a_year_at_most() {
        let parse = |starts, ends| Span::parse("starts_at", starts, "ends_at", ends);
        let start = datetime!(2026-05-02 14:00 UTC);
        let span = parse(start, datetime!(2026-05-02 16:00:00.123456 +1)).unwrap();
        assert_eq!(span.ends_at(), datetime!(2026-05-02 15:00:00.123 UTC));
        assert!(parse(start, start + LENGTH_MAX).is_ok());
        for (starts, ends, field) in [
            (start, start, "ends_at"),
            (start, start - Duration::SECOND, "ends_at"),
            // The same millisecond.
            (start, start + Duration::microseconds(999), "ends_at"),
            (start, start + LENGTH_MAX + Duration::MILLISECOND, "ends_at"),
            (datetime!(2000-01-01 0:00 UTC), datetime!(2099-12-31 0:00 UTC), "ends_at"),
            (datetime!(1999-12-31 23:59 UTC), datetime!(2000-01-01 1:00 UTC), "starts_at"),
            (datetime!(2100-12-31 23:59 UTC), datetime!(2101-01-01 0:00 UTC), "ends_at"),
        ] {
            assert_eq!(parse(starts, ends).unwrap_err().field, field, "{starts} {ends}");
        }
    }
}
