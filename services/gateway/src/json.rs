//! JSON without surprises: a tree that refuses what two readers could understand differently, and what would
//! cost more to hold than any body of ours is worth.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Text};

/// Nesting beyond any body of ours.
pub const DEPTH_MAX: usize = 32;
/// Members and elements of one body altogether.
pub const NODES_MAX: usize = 10_000;
/// Members of objects of one body altogether.
pub const KEYS_MAX: usize = 1_000;

/// A JSON value; objects keep their order and have no member twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    /// Any other number.
    Number(f64),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// The same of a body of rows: a thousand of them with all their members.
pub const ROWS_KEYS_MAX: usize = 8_000;

/// Parses one JSON text.
pub fn parse(body: &[u8]) -> Result<Json, Error> {
    parse_within(body, KEYS_MAX)
}

/// Parses one JSON text of many rows.
pub fn parse_rows(body: &[u8]) -> Result<Json, Error> {
    parse_within(body, ROWS_KEYS_MAX)
}

fn parse_within(body: &[u8], keys_max: usize) -> Result<Json, Error> {
    let malformed = |pt: String, en: String| Error::MalformedJson(Text { pt: pt.into(), en: en.into() });
    let text = std::str::from_utf8(body)
        .map_err(|error| malformed(format!("não é UTF-8: {error}"), format!("is not UTF-8: {error}")))?;
    let limits = Limits { nodes: Cell::new(0), keys: Cell::new(0), keys_max };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = Node { limits: &limits, depth: 0 }.deserialize(&mut deserializer);
    let parsed = parsed.and_then(|json| deserializer.end().map(|()| json));
    parsed.map_err(|error| {
        let error: String = error.to_string().chars().take(200).collect();
        malformed(error.clone(), error)
    })
}

struct Limits {
    nodes: Cell<usize>,
    keys: Cell<usize>,
    keys_max: usize,
}

#[derive(Clone, Copy)]
struct Node<'l> {
    limits: &'l Limits,
    depth: usize,
}

impl Node<'_> {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        self.limits.nodes.set(self.limits.nodes.get() + 1);
        if self.limits.nodes.get() > NODES_MAX { Err(E::custom("too many values")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Number(value as f64), Json::Integer))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        // An integer of hundreds of digits arrives here as an approximation of itself.
        if value.abs() > 1e20 {
            return Err(E::custom("a number of unreasonable size"));
        }
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(below)? {
            array.push(element);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut object: Vec<(String, Json)> = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            self.limits.keys.set(self.limits.keys.get() + 1);
            let keys_max = self.limits.keys_max;
            if self.limits.keys.get() > keys_max {
                return Err(A::Error::custom(format_args!("more than {keys_max} members")));
            }
            if object.iter().any(|(earlier, _)| *earlier == name) {
                return Err(A::Error::custom("a member appears twice"));
            }
            let value = members.next_value_seed(below)?;
            object.push((name, value));
        }
        Ok(Json::Object(object))
    }
}

impl Json {
    /// JSON text again, for members that are stored as they are.
    pub fn text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => serde_json::to_string(value).expect("a finite number serialises"),
            Self::String(value) => quoted(value),
            Self::Array(elements) => {
                let elements: Vec<_> = elements.iter().map(Self::text).collect();
                format!("[{}]", elements.join(","))
            }
            Self::Object(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{}:{}", quoted(name), value.text()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string serialises")
}
