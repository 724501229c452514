//! The agenda for calendar applications, as an iCalendar (RFC 5545).

use std::collections::HashSet;

use proto::agenda::v1 as pb;
use time::OffsetDateTime;

use super::events;
use crate::error::Error;
use crate::handlers::openapi::ProblemDocument;
use crate::handlers::{Found, Origin};
use crate::pages::{EventFilter, Pages};

/// Rows of one call, and calls of one calendar.
const ROWS: u32 = 100;
const PAGES_MAX: u32 = 10;
/// Octets of a line without its end (RFC 5545, 3.1).
const LINE_OCTETS_MAX: usize = 75;

/// The agenda for calendar applications: the thousand latest events.
#[utoipa::path(
    get,
    path = "/api/events.ics",
    tag = "agenda",
    responses(
        (status = 200, description = "The thousand latest events as an iCalendar (RFC 5545), `text/calendar`"),
        (status = 304, description = "The calendar of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn get(origin: Origin) -> Result<Found, Error> {
    let mut listed: Vec<pb::Event> = Vec::new();
    let mut seen = HashSet::new();
    for page in 1..=PAGES_MAX {
        let reply = events::page(&origin, Pages { page, limit: ROWS }, &EventFilter::default()).await?;
        let is_last = reply.events.len() < ROWS as usize;
        // An event made between two calls moves the last row of one page to the next; that change purges
        // this calendar, which must not show the row twice until then.
        listed.extend(reply.events.into_iter().filter(|event| seen.insert(event.id)));
        if is_last {
            break;
        }
    }
    Ok(Found::calendar(calendar(&listed)))
}

/// The calendar of these events. The same events make the same text.
pub fn calendar(events: &[pb::Event]) -> String {
    let mut text = String::with_capacity(256 + events.len() * 256);
    line(&mut text, "BEGIN", "VCALENDAR");
    line(&mut text, "VERSION", "2.0");
    line(&mut text, "PRODID", "-//Mestres Café//Agenda//PT");
    line(&mut text, "CALSCALE", "GREGORIAN");
    for event in events {
        component(&mut text, event);
    }
    line(&mut text, "END", "VCALENDAR");
    text
}

fn component(text: &mut String, event: &pb::Event) {
    line(text, "BEGIN", "VEVENT");
    line(text, "UID", &format!("event-{}@mestrescafe.com", event.id));
    // When it was last revised is not known to readers; each revision counts `SEQUENCE` up.
    line(text, "DTSTAMP", &moment(event.created_at.as_ref()));
    line(text, "CREATED", &moment(event.created_at.as_ref()));
    line(text, "SEQUENCE", &event.version.saturating_sub(1).to_string());
    line(text, "DTSTART", &moment(event.starts_at.as_ref()));
    line(text, "DTEND", &moment(event.ends_at.as_ref()));
    line(text, "SUMMARY", &escaped(&event.title));
    line(text, "CATEGORIES", &escaped(&event.kind));
    if let Some(location) = &event.location {
        line(text, "LOCATION", &escaped(location));
    }
    if let Some(description) = &event.description {
        line(text, "DESCRIPTION", &escaped(description));
    }
    if let Some(professional) = &event.professional {
        line(text, "CONTACT", &escaped(&professional.name));
    }
    line(text, "STATUS", if event.status == "cancelled" { "CANCELLED" } else { "CONFIRMED" });
    line(text, "END", "VEVENT");
}

/// One content line, folded: no line is longer than 75 octets, and no character is cut in two.
fn line(text: &mut String, name: &str, value: &str) {
    let mut octets = 0;
    for character in name.chars().chain([':']).chain(value.chars()) {
        let width = character.len_utf8();
        if octets + width > LINE_OCTETS_MAX {
            text.push_str("\r\n ");
            octets = 1;
        }
        text.push(character);
        octets += width;
    }
    text.push_str("\r\n");
}

/// A TEXT value (RFC 5545, 3.3.11). Control characters have no place in one, line ends have an escape.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 8);
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' | ';' | ',' => text.extend(['\\', character]),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' | '\n' => text.push_str("\\n"),
            '\t' => text.push('\t'),
            _ if character.is_control() => {}
            _ => text.push(character),
        }
    }
    text
}

/// A DATE-TIME in UTC (RFC 5545, 3.3.5): seconds, nothing finer.
fn moment(at: Option<&prost_types::Timestamp>) -> String {
    let seconds = at.map_or(0, |at| at.seconds);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}
