//! Taking a body apart, member by member, each mistake noted with its pointer (RFC 6901).
//!
//! serde's derived types would stop at the first mistake and not say where it is.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::error::{Error, FieldError, Text};
use crate::json::Json;

/// The mistakes found in one body.
#[derive(Debug, Default)]
pub struct Mistakes {
    errors: Vec<FieldError>,
}

/// More mistakes than this are not listed.
const MISTAKES_MAX: usize = 50;

impl Mistakes {
    /// Notes one.
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, detail: Text) {
        if self.errors.len() < MISTAKES_MAX {
            self.errors.push(FieldError { pointer: pointer.into(), code: Cow::Borrowed(code), detail });
        }
    }

    /// `value`, unless anything was wrong.
    pub fn finish<T>(self, value: T) -> Result<T, Error> {
        if self.errors.is_empty() { Ok(value) } else { Err(Error::Validation(self.errors)) }
    }
}

/// The members of one object, taken out by name. Every method notes what is wrong and answers a stand-in, so
/// that one pass finds all mistakes.
#[derive(Debug)]
pub struct Fields<'m> {
    members: Vec<(String, Json)>,
    path: String,
    mistakes: &'m mut Mistakes,
}

/// A member that may be left out, and may be null.
#[derive(Debug, Clone, PartialEq)]
pub enum Member<T> {
    /// Not there.
    Absent,
    /// `null`.
    Null,
    /// There.
    Present(T),
}

impl<'m> Fields<'m> {
    /// The members of `json`, which must be an object, found at `path` of the body.
    pub fn of(json: Json, path: impl Into<String>, mistakes: &'m mut Mistakes) -> Self {
        let path = path.into();
        let members = match json {
            Json::Object(members) => members,
            _ => {
                mistakes.add(path.clone(), "type", Text::fixed("deve ser um objeto", "must be an object"));
                Vec::new()
            }
        };
        Self { members, path, mistakes }
    }

    /// The pointer of a member.
    pub fn pointer(&self, name: &str) -> String {
        format!("{}/{}", self.path, name.replace('~', "~0").replace('/', "~1"))
    }

    /// Notes a mistake in a member.
    pub fn mistake(&mut self, name: &str, code: &'static str, detail: Text) {
        let pointer = self.pointer(name);
        self.mistakes.add(pointer, code, detail);
    }

    /// The raw member.
    pub fn take(&mut self, name: &str) -> Member<Json> {
        let Some(at) = self.members.iter().position(|(found, _)| found == name) else {
            return Member::Absent;
        };
        match self.members.remove(at).1 {
            Json::Null => Member::Null,
            json => Member::Present(json),
        }
    }

    /// A string of so many characters.
    pub fn string(&mut self, name: &str, chars: RangeInclusive<usize>) -> Member<String> {
        match self.take(name) {
            Member::Absent => Member::Absent,
            Member::Null => Member::Null,
            Member::Present(Json::String(text)) => {
                let length = text.chars().count();
                if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
                    self.mistake(
                        name,
                        "format",
                        Text::fixed("contém caracteres de controle", "has control characters"),
                    );
                } else if length < *chars.start() {
                    let at_least = chars.start();
                    let detail = Text {
                        pt: format!("ao menos {at_least} caracteres").into(),
                        en: format!("at least {at_least} characters").into(),
                    };
                    self.mistake(name, "min", detail);
                } else if length > *chars.end() {
                    let at_most = chars.end();
                    let detail = Text {
                        pt: format!("até {at_most} caracteres").into(),
                        en: format!("up to {at_most} characters").into(),
                    };
                    self.mistake(name, "max", detail);
                }
                Member::Present(text)
            }
            Member::Present(_) => {
                self.mistake(name, "type", Text::fixed("deve ser texto", "must be a string"));
                Member::Present(String::new())
            }
        }
    }

    /// An integer within `range`.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Member<i64> {
        match self.take(name) {
            Member::Absent => Member::Absent,
            Member::Null => Member::Null,
            Member::Present(Json::Integer(number)) => {
                if !range.contains(&number) {
                    let code = if number < *range.start() { "min" } else { "max" };
                    let detail = Text {
                        pt: format!("de {} a {}", range.start(), range.end()).into(),
                        en: format!("from {} to {}", range.start(), range.end()).into(),
                    };
                    self.mistake(name, code, detail);
                }
                Member::Present(number)
            }
            Member::Present(_) => {
                self.mistake(name, "type", Text::fixed("deve ser um inteiro", "must be an integer"));
                Member::Present(*range.start())
            }
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, name: &str) -> Member<bool> {
        match self.take(name) {
            Member::Absent => Member::Absent,
            Member::Null => Member::Null,
            Member::Present(Json::Bool(value)) => Member::Present(value),
            Member::Present(_) => {
                self.mistake(name, "type", Text::fixed("deve ser true ou false", "must be true or false"));
                Member::Present(false)
            }
        }
    }

    /// An object, as the text that is stored.
    pub fn object(&mut self, name: &str) -> Member<String> {
        match self.take(name) {
            Member::Absent => Member::Absent,
            Member::Null => Member::Null,
            Member::Present(json @ Json::Object(_)) => Member::Present(json.text()),
            Member::Present(_) => {
                self.mistake(name, "type", Text::fixed("deve ser um objeto", "must be an object"));
                Member::Present("{}".to_owned())
            }
        }
    }

    /// A list of so many objects, each read by `read`.
    pub fn list<T>(
        &mut self,
        name: &str,
        count: RangeInclusive<usize>,
        mut read: impl FnMut(&mut Fields<'_>) -> T,
    ) -> Member<Vec<T>> {
        let elements = match self.take(name) {
            Member::Absent => return Member::Absent,
            Member::Null => return Member::Null,
            Member::Present(Json::Array(elements)) => elements,
            Member::Present(_) => {
                self.mistake(name, "type", Text::fixed("deve ser uma lista", "must be a list"));
                return Member::Present(Vec::new());
            }
        };
        if !count.contains(&elements.len()) {
            let code = if elements.len() < *count.start() { "min" } else { "max" };
            let detail = Text {
                pt: format!("de {} a {} elementos", count.start(), count.end()).into(),
                en: format!("from {} to {} elements", count.start(), count.end()).into(),
            };
            self.mistake(name, code, detail);
            return Member::Present(Vec::new());
        }
        let path = self.pointer(name);
        let mut list = Vec::with_capacity(elements.len());
        for (position, element) in elements.into_iter().enumerate() {
            let mut fields = Fields::of(element, format!("{path}/{position}"), self.mistakes);
            list.push(read(&mut fields));
            fields.finish();
        }
        Member::Present(list)
    }

    /// An object of its own, read by `read`.
    pub fn part<T: Default>(&mut self, name: &str, read: impl FnOnce(&mut Fields<'_>) -> T) -> Member<T> {
        let json = match self.take(name) {
            Member::Absent => return Member::Absent,
            Member::Null => return Member::Null,
            Member::Present(json) => json,
        };
        let path = self.pointer(name);
        if !matches!(json, Json::Object(_)) {
            self.mistakes.add(path, "type", Text::fixed("deve ser um objeto", "must be an object"));
            return Member::Present(T::default());
        }
        let mut fields = Fields::of(json, path, self.mistakes);
        let part = read(&mut fields);
        fields.finish();
        Member::Present(part)
    }

    /// A number within `range` with one decimal at most, as tenths.
    pub fn tenths(&mut self, name: &str, range: RangeInclusive<i64>) -> Member<i64> {
        // Whole ones first: they need no rounding, and may be too large for any.
        let tenths = match self.take(name) {
            Member::Absent => return Member::Absent,
            Member::Null => return Member::Null,
            Member::Present(Json::Integer(number)) => number.saturating_mul(10),
            Member::Present(Json::Number(number)) => {
                let tenths = (number * 10.0).round();
                if (number * 10.0 - tenths).abs() > 1e-6 {
                    self.mistake(name, "format", Text::fixed("até uma casa decimal", "one decimal at most"));
                    return Member::Present(0);
                }
                // Bodies hold no number beyond 1e20; beyond an i64 it saturates, which no range admits.
                tenths as i64
            }
            Member::Present(_) => {
                self.mistake(name, "type", Text::fixed("deve ser um número", "must be a number"));
                return Member::Present(0);
            }
        };
        if !(range.start() * 10..=range.end() * 10).contains(&tenths) {
            let code = if tenths < range.start() * 10 { "min" } else { "max" };
            let detail = Text {
                pt: format!("de {} a {}", range.start(), range.end()).into(),
                en: format!("from {} to {}", range.start(), range.end()).into(),
            };
            self.mistake(name, code, detail);
        }
        Member::Present(tenths)
    }

    /// The member, which must be there.
    pub fn required<T: Default>(&mut self, name: &str, member: Member<T>) -> T {
        match member {
            Member::Present(value) => value,
            Member::Absent | Member::Null => {
                self.mistake(name, "required", Text::fixed("é obrigatório", "is required"));
                T::default()
            }
        }
    }

    /// Notes every member that no one took.
    pub fn finish(self) {
        for (name, _) in &self.members {
            let shown: String = name.chars().take(64).collect();
            let pointer = self.pointer(&shown);
            self.mistakes.add(pointer, "unknown", Text::fixed("campo desconhecido", "unknown member"));
        }
    }
}

impl<T> Member<T> {
    /// The value, if there is one.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}
