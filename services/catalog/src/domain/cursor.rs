//! Cursors: the place where a list goes on, signed, and good for one question only.
//!
//! A cursor carries the sort value and the id of the last row seen; it is authenticated together
//! with a fingerprint of the sort and the filters, so an edited one, a made-up one and one of
//! another question are all the same to us: none of ours.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;

use super::Invalid;

const MAC_BYTES: usize = 16;
/// A name of 200 characters fits, also when unaccenting makes two or three of one.
const TEXT_BYTES_MAX: usize = 3_000;
const FORMAT: u8 = 1;

/// Signs cursors; every instance of the service has the same one.
#[derive(Clone)]
pub(crate) struct CursorKey([u8; 32]);

impl CursorKey {
    /// Derives the key, so that no cursor is ever valid as another kind of token.
    pub(crate) fn derive(token_key: &[u8; 32]) -> Self {
        Self(blake3::derive_key("mestrescafe.dev 2026-11 catalog list cursors", token_key))
    }
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(..)")
    }
}

/// Which question a cursor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

/// A place between two rows of a list, and the way to go from there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) direction: Direction,
    /// The row next to the place, not part of the answer.
    pub(crate) row: Place,
    /// The number of the page it leads to, for display.
    pub(crate) page: u32,
}

/// Towards the end of the list or towards its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Next,
    Previous,
}

/// A row as the list is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) value: SortValue,
    pub(crate) id: i64,
}

/// What a row is sorted by, exactly as stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SortValue {
    /// Whole microseconds, as the database keeps them.
    CreatedAt(OffsetDateTime),
    Price(i64),
    Name(String),
    Rank(f32),
    Popularity(i64),
}

impl Cursor {
    /// Text for a query string: about 70 characters, more for long names.
    pub(crate) fn encode(&self, key: &CursorKey, question: Fingerprint) -> String {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(FORMAT);
        bytes.push(match self.direction {
            Direction::Next => b'n',
            Direction::Previous => b'p',
        });
        bytes.extend_from_slice(&self.page.to_le_bytes());
        bytes.extend_from_slice(&self.row.id.to_le_bytes());
        match &self.row.value {
            SortValue::CreatedAt(at) => {
                bytes.push(b'c');
                let micros = i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000))
                    .expect("the years that OffsetDateTime can hold fit into 64 bits of microseconds");
                bytes.extend_from_slice(&micros.to_le_bytes());
            }
            SortValue::Price(amount) => {
                bytes.push(b'p');
                bytes.extend_from_slice(&amount.to_le_bytes());
            }
            SortValue::Name(name) => {
                bytes.push(b'n');
                bytes.extend_from_slice(name.as_bytes());
            }
            SortValue::Rank(rank) => {
                bytes.push(b'r');
                bytes.extend_from_slice(&rank.to_bits().to_le_bytes());
            }
            SortValue::Popularity(popularity) => {
                bytes.push(b'o');
                bytes.extend_from_slice(&popularity.to_le_bytes());
            }
        }
        let mac = mac(key, question, &bytes);
        bytes.extend_from_slice(&mac.as_bytes()[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Accepts only what `encode` made with this key for this question.
    pub(crate) fn decode(
        field: &str,
        text: &str,
        key: &CursorKey,
        question: Fingerprint,
    ) -> Result<Self, Invalid> {
        Self::decoded(text, key, question).ok_or_else(|| {
            let detail = "not a cursor of this list: it was changed, or sort or filters are others";
            Invalid::because("invalid_cursor", field, detail)
        })
    }

    fn decoded(text: &str, key: &CursorKey, question: Fingerprint) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (signed, given_mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        // Compared as a whole hash, which blake3 does in constant time.
        let expected = mac(key, question, signed);
        let mut given = *expected.as_bytes();
        given[..MAC_BYTES].copy_from_slice(given_mac);
        if expected != blake3::Hash::from_bytes(given) {
            return None;
        }

        let (&[format, direction], rest) = signed.split_first_chunk::<2>()?;
        let (page, rest) = rest.split_first_chunk::<4>()?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        let (kind, value) = rest.split_first()?;
        if format != FORMAT {
            return None;
        }
        let value = match kind {
            b'c' => {
                let micros = i64::from_le_bytes(value.try_into().ok()?);
                let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?;
                SortValue::CreatedAt(at)
            }
            b'p' => SortValue::Price(i64::from_le_bytes(value.try_into().ok()?)),
            b'o' => SortValue::Popularity(i64::from_le_bytes(value.try_into().ok()?)),
            b'n' => SortValue::Name(std::str::from_utf8(value).ok()?.to_owned()),
            b'r' => SortValue::Rank(f32::from_bits(u32::from_le_bytes(value.try_into().ok()?))),
            _ => return None,
        };
        let direction = match direction {
            b'n' => Direction::Next,
            b'p' => Direction::Previous,
            _ => return None,
        };
        let row = Place { value, id: i64::from_le_bytes(*id) };
        Some(Self { direction, row, page: u32::from_le_bytes(*page) })
    }
}

fn mac(key: &CursorKey, question: Fingerprint, bytes: &[u8]) -> blake3::Hash {
    blake3::Hasher::new_keyed(&key.0).update(&question.0).update(bytes).finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> CursorKey {
        CursorKey::derive(&[n; 32])
    }

    fn values() -> impl Strategy<Value = SortValue> {
        prop_oneof![
            (-62_135_596_800_000_000_i64..253_402_300_799_999_999).prop_map(|micros| {
                let nanos = i128::from(micros) * 1_000;
                SortValue::CreatedAt(OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap())
            }),
            any::<i64>().prop_map(SortValue::Price),
            any::<i64>().prop_map(SortValue::Popularity),
            "\\PC{0,200}".prop_map(SortValue::Name),
            (0.0_f32..1e6).prop_map(SortValue::Rank),
        ]
    }

    prop_compose! {
        fn cursors()(value in values(), id in any::<i64>(), page in any::<u32>(), next in any::<bool>()) -> Cursor {
            let direction = if next { Direction::Next } else { Direction::Previous };
            Cursor { direction, row: Place { value, id }, page }
        }
    }

    proptest! {
        #[test]
        fn a_cursor_survives_the_way_there_and_back(cursor in cursors(), question in any::<[u8; 32]>()) {
            let text = cursor.encode(&key(1), Fingerprint(question));
            prop_assert!(text.len() <= TEXT_BYTES_MAX);
            prop_assert_eq!(Cursor::decode("cursor", &text, &key(1), Fingerprint(question)).unwrap(), cursor);
        }

        #[test]
        fn a_changed_byte_is_refused(cursor in cursors(), at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
            let question = Fingerprint([7; 32]);
            let mut bytes = URL_SAFE_NO_PAD.decode(cursor.encode(&key(1), question)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(Cursor::decode("cursor", &URL_SAFE_NO_PAD.encode(bytes), &key(1), question).is_err());
        }

        #[test]
        fn another_question_or_key_is_refused(cursor in cursors(), question in any::<[u8; 32]>()) {
            let text = cursor.encode(&key(1), Fingerprint(question));
            let mut other = question;
            other[0] ^= 1;
            prop_assert!(Cursor::decode("cursor", &text, &key(1), Fingerprint(other)).is_err());
            prop_assert!(Cursor::decode("cursor", &text, &key(2), Fingerprint(question)).is_err());
        }

        #[test]
        fn noise_is_refused(text in "\\PC{0,100}") {
            prop_assert!(Cursor::decode("cursor", &text, &key(1), Fingerprint([0; 32])).is_err());
        }
    }

    #[test]
    fn a_cut_cursor_is_refused_at_every_length() {
        let row = Place { value: SortValue::Name("cafe".into()), id: 42 };
        let text = Cursor { direction: Direction::Next, row, page: 2 }.encode(&key(1), Fingerprint([0; 32]));
        for length in 0..text.len() {
            let cut = &text[..length];
            assert!(Cursor::decode("cursor", cut, &key(1), Fingerprint([0; 32])).is_err(), "{cut}");
        }
        assert!(Cursor::decode("cursor", &"A".repeat(5_000), &key(1), Fingerprint([0; 32])).is_err());
    }
}
