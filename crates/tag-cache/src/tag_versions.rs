//! The last purge of each tag in Redis: a second opinion while the log is silent.
//!
//! The invalidator writes them next to every purge. They decide nothing while the log is followed; a
//! gateway that has heard nothing for ten seconds asks them before it serves a bounded route from its
//! cache.

use crate::position::Position;
use crate::tag::Tag;

/// Exists (written with `PX` [`ALIVE_MS`]) only while the invalidator is up and its writes to Redis succeed.
///
/// Its value is the position (as [`encode`] writes it) from which on every purge has been written without
/// a failure; entries with an older stamp cannot be judged. The invalidator moves it to its current
/// position after any failed write and when it starts.
pub const ALIVE: &str = "tv:alive";

/// How long one write of [`ALIVE`] lasts.
pub const ALIVE_MS: u64 = 2_000;

/// Where the last purge of `tag` stands; written with `PX` of the longest lifetime of an entry.
pub fn key(tag: Tag) -> String {
    format!("tv:{:016x}", tag.to_bits())
}

/// A position as the value of a key.
pub fn encode(position: Position) -> String {
    position.to_bits().to_string()
}

/// Reads what [`encode`] wrote.
pub fn decode(value: &[u8]) -> Option<Position> {
    str::from_utf8(value).ok()?.parse().ok().map(Position::from_bits)
}

/// Whether an entry with `stamp` may be served by what the keys say: `alive`, then one value per tag.
pub(crate) fn allow(stamp: Position, values: &[Option<Vec<u8>>]) -> bool {
    let Some((Some(alive), tags)) = values.split_first() else { return false };
    let judged = decode(alive).is_some_and(|complete_since| stamp >= complete_since);
    let unpurged = |value: &Option<Vec<u8>>| match value {
        None => true,
        Some(value) => decode(value).is_some_and(|purged| purged <= stamp),
    };
    judged && tags.iter().all(unpurged)
}

#[cfg(test)]
mod tests {
    use super::{allow, encode};
    use crate::position::Position;

    fn at(sequence: u64) -> Option<Vec<u8>> {
        Some(encode(Position::new(1, sequence)).into_bytes())
    }

    fn check(values: &[Option<Vec<u8>>], expected: bool) {
        assert_eq!(allow(Position::new(1, 10), values), expected, "{values:?}");
    }

    #[test]
    fn only_a_live_and_complete_record_without_a_later_purge_allows() {
        check(&[at(10), None, at(10)], true);
        check(&[at(3)], true);
        check(&[None, None, at(10)], false);
        check(&[at(11), None, None], false);
        check(&[at(3), None, at(11)], false);
        check(&[at(3), Some(b"garbage".to_vec())], false);
        check(&[Some(b"yes".to_vec()), None], false);
        check(&[], false);
    }
}
