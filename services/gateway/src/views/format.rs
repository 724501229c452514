//! Money and time as they are written.

use std::fmt::Write;

/// An amount in the writing of its currency: `R$ 1.234,56`. Other currencies by their code.
pub fn formatted(amount: i64, currency: &str) -> String {
    let mut text = String::with_capacity(16);
    if amount < 0 {
        text.push('-');
    }
    text.push_str(if currency == "BRL" { "R$" } else { currency });
    text.push(' ');
    let units = (amount.unsigned_abs() / 100).to_string();
    for (position, digit) in units.char_indices() {
        if position > 0 && (units.len() - position).is_multiple_of(3) {
            text.push('.');
        }
        text.push(digit);
    }
    // Writing to a `String` cannot fail.
    let _ = write!(text, ",{:02}", amount.unsigned_abs() % 100);
    text
}

/// RFC 3339 in UTC with milliseconds; the epoch when absent.
pub(crate) fn timestamp(timestamp: Option<&prost_types::Timestamp>) -> String {
    let nanos = timestamp.map_or(0, |at| i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos));
    rfc3339(
        time::OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(time::OffsetDateTime::UNIX_EPOCH),
    )
}

/// A moment as services read it.
pub(crate) fn instant(at: time::OffsetDateTime) -> prost_types::Timestamp {
    let nanos =
        i32::try_from(at.nanosecond()).expect("a second has fewer nanoseconds than 31 bits can count");
    prost_types::Timestamp { seconds: at.unix_timestamp(), nanos }
}

/// RFC 3339 in UTC with milliseconds and `Z`.
pub fn rfc3339(at: time::OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}
