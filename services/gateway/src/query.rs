//! A query string, read strictly: every parameter known, at most once, within its range.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Text};

/// The longest query string, in bytes as received.
pub const QUERY_BYTES_MAX: usize = 4 * 1024;
/// More parameters than any route has.
const PARAMETERS_MAX: usize = 32;

/// The decoded parameters. Take each that the route knows, then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Decodes; repeated parameters, broken escapes and control characters are refused.
    pub fn parse(raw: &'a str) -> Result<Self, Error> {
        if raw.len() > QUERY_BYTES_MAX {
            return Err(Error::parameter(
                "query",
                "a consulta pode ter até 4 KiB",
                "the query may have up to 4 KiB",
            ));
        }
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PARAMETERS_MAX {
                return Err(Error::parameter("query", "parâmetros demais", "too many parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)
                .ok_or_else(|| Error::parameter("query", "codificação inválida", "invalid encoding"))?;
            let Some(value) = decode(value) else {
                return Err(invalid(&name, "codificação inválida", "invalid encoding"));
            };
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                return Err(invalid(&name, "repetido", "repeated"));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The value of `name`.
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let at = self.pairs.iter().position(|(found, _)| found == name)?;
        Some(self.pairs.swap_remove(at).1)
    }

    /// The value of `name` as digits within `range`.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let parsed = digits(&value).filter(|number| range.contains(number));
        parsed.map(Some).ok_or_else(|| Error::InvalidParameter {
            name: Cow::Borrowed(name),
            detail: Text {
                pt: format!("um inteiro de {} a {}", range.start(), range.end()).into(),
                en: format!("an integer from {} to {}", range.start(), range.end()).into(),
            },
        })
    }

    /// The value of `name`, which must be one of `choices`.
    pub fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let found = choices.iter().find(|(choice, _)| *choice == value);
        found.map(|(_, meaning)| Some(*meaning)).ok_or_else(|| {
            let list = choices.iter().map(|(choice, _)| *choice).collect::<Vec<_>>().join(", ");
            Error::InvalidParameter {
                name: Cow::Borrowed(name),
                detail: Text { pt: format!("um de: {list}").into(), en: format!("one of: {list}").into() },
            }
        })
    }

    /// A comma-separated list of members of `known`, as their positions in it: order and repetition carry no
    /// meaning.
    pub fn subset(&mut self, name: &'static str, known: &[&'static str]) -> Result<Option<Subset>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let mut chosen = Subset::default();
        for member in value.split(',') {
            match known.iter().position(|candidate| *candidate == member) {
                Some(position) => chosen.0 |= 1 << position,
                None => {
                    let list = known.join(", ");
                    return Err(Error::InvalidParameter {
                        name: Cow::Borrowed(name),
                        detail: Text {
                            pt: format!("uma lista de: {list}").into(),
                            en: format!("a list of: {list}").into(),
                        },
                    });
                }
            }
        }
        Ok(Some(chosen))
    }

    /// Refuses what no one took.
    pub fn finish(self) -> Result<(), Error> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => Err(invalid(name, "parâmetro desconhecido", "unknown parameter")),
        }
    }
}

/// Some members of a list that the route knows, by position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Subset(u32);

impl Subset {
    /// Whether the member at `position` was chosen.
    pub fn contains(self, position: usize) -> bool {
        self.0 & (1 << position) != 0
    }
}

/// Digits only, no sign, no spaces: `None` when it is anything else or too large.
pub(crate) fn digits(value: &str) -> Option<u64> {
    let valid = (1..=20).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    if valid { value.parse().ok() } else { None }
}

fn invalid(name: &str, pt: &'static str, en: &'static str) -> Error {
    Error::InvalidParameter { name: Cow::Owned(name.chars().take(64).collect()), detail: Text::fixed(pt, en) }
}

/// Form decoding; `None` for broken escapes, bytes that are not UTF-8, and control characters.
fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return is_text(raw).then_some(Cow::Borrowed(raw));
    }
    let mut rest = raw.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let escape = rest.get(at + 1..at + 3)?;
        if !escape.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = &rest[at + 3..];
    }
    // A plus sign is a space only where it is not escaped itself, hence before decoding.
    let spaced = raw.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?.into_owned();
    is_text(&decoded).then_some(Cow::Owned(decoded))
}

fn is_text(value: &str) -> bool {
    !value.chars().any(char::is_control)
}
