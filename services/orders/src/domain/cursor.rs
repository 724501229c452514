//! Cursors of a buyer's list of orders: signed, and good for one question only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;

use super::Invalid;
use crate::secret_key::SecretKey;

const MAC_BYTES: usize = 32;
/// Direction, microseconds, id.
const PLACE_BYTES: usize = 1 + 8 + 8;

/// A place beside a row of the list, and the way to go from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) direction: Direction,
    /// Whole microseconds, as the database keeps them.
    pub(crate) created_at: OffsetDateTime,
    pub(crate) id: i64,
}

/// Towards the end of the list or towards its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Next,
    Previous,
}

impl Cursor {
    /// 66 characters for a query string. `question` says whose list it is, and its filters.
    pub(crate) fn encode(self, key: &SecretKey, question: &str) -> String {
        let mut bytes = Vec::with_capacity(PLACE_BYTES + MAC_BYTES);
        bytes.push(match self.direction {
            Direction::Next => b'n',
            Direction::Previous => b'p',
        });
        let micros = i64::try_from(self.created_at.unix_timestamp_nanos().div_euclid(1_000))
            .expect("the years that OffsetDateTime can hold fit into 64 bits of microseconds");
        bytes.extend_from_slice(&micros.to_le_bytes());
        bytes.extend_from_slice(&self.id.to_le_bytes());
        let mac = key.mac(&signed(question, &bytes));
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Accepts only what `encode` made with this key for this question.
    pub(crate) fn decode(field: &str, text: &str, key: &SecretKey, question: &str) -> Result<Self, Invalid> {
        Self::decoded(text, key, question).ok_or_else(|| {
            let detail = "not a cursor of this list: it was changed, or the filters are others";
            Invalid::because("invalid_cursor", field, detail)
        })
    }

    fn decoded(text: &str, key: &SecretKey, question: &str) -> Option<Self> {
        if text.len() > 2 * (PLACE_BYTES + MAC_BYTES) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (place, mac) = bytes.split_at_checked(PLACE_BYTES)?;
        if !key.verify(&signed(question, place), mac) {
            return None;
        }
        let (&direction, place) = place.split_first()?;
        let (micros, id) = place.split_first_chunk::<8>()?;
        let direction = match direction {
            b'n' => Direction::Next,
            b'p' => Direction::Previous,
            _ => return None,
        };
        let created_at =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(i64::from_le_bytes(*micros)) * 1_000)
                .ok()?;
        Some(Self { direction, created_at, id: i64::from_le_bytes(id.try_into().ok()?) })
    }
}

/// Nothing that is signed here is valid as another kind of token.
fn signed(question: &str, place: &[u8]) -> String {
    format!("orders-cursor:{}:{question}", URL_SAFE_NO_PAD.encode(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: &str) -> SecretKey {
        SecretKey::parse(&digit.repeat(64)).unwrap()
    }

    fn cursor() -> Cursor {
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(1_777_723_200_123_456_000).unwrap();
        Cursor { direction: Direction::Next, created_at, id: 42 }
    }

    #[test]
    fn a_cursor_survives_the_way_there_and_back() {
        let text = cursor().encode(&key("7"), "user:1");
        assert_eq!(Cursor::decode("cursor", &text, &key("7"), "user:1").unwrap(), cursor());
        let back = Cursor { direction: Direction::Previous, ..cursor() };
        assert_eq!(Cursor::decode("cursor", &back.encode(&key("7"), "q"), &key("7"), "q").unwrap(), back);
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let text = cursor().encode(&key("7"), "user:1");
        assert!(Cursor::decode("cursor", &text, &key("7"), "user:2").is_err());
        assert!(Cursor::decode("cursor", &text, &key("8"), "user:1").is_err());
        for length in 0..text.len() {
            assert!(Cursor::decode("cursor", &text[..length], &key("7"), "user:1").is_err());
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(
                Cursor::decode("cursor", &URL_SAFE_NO_PAD.encode(&bytes), &key("7"), "user:1").is_err(),
                "{at}"
            );
            bytes[at] ^= 1;
        }
    }
}
