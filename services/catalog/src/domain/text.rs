//! Texts that were looked at once: lengths, characters, shapes.

use serde_json::Value;

use super::Invalid;

const NAME_CHARS_MAX: usize = 200;
const SLUG_BYTES_MAX: usize = 120;
const LABEL_CHARS_MAX: usize = 100;
const DESCRIPTION_CHARS_MAX: usize = 20_000;
const SEARCH_CHARS_MAX: usize = 128;
const SKU_BYTES_MAX: usize = 64;
const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;
const ATTRIBUTES_MEMBERS_MAX: usize = 100;
const ATTRIBUTES_DEPTH_MAX: usize = 5;
const OPTIONS_BYTES_MAX: usize = 1024;
const OPTIONS_MEMBERS_MAX: usize = 10;

/// A name on one line: 1 to 200 characters, not blank, no control characters.
pub(crate) fn name(field: &str, text: String) -> Result<String, Invalid> {
    line(field, text, NAME_CHARS_MAX)
}

/// A short word or two, such as an origin: 1 to 100 characters on one line.
pub(crate) fn label(field: &str, text: String) -> Result<String, Invalid> {
    line(field, text, LABEL_CHARS_MAX)
}

fn line(field: &str, text: String, chars_max: usize) -> Result<String, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::value(field, "must not be empty"));
    }
    if text.chars().nth(chars_max).is_some() {
        return Err(Invalid::value(field, format!("must have at most {chars_max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::value(field, "must be one line without control characters"));
    }
    Ok(text)
}

/// Running text: up to 20,000 characters, lines and tabs allowed.
pub(crate) fn description(field: &str, text: String) -> Result<String, Invalid> {
    if text.chars().nth(DESCRIPTION_CHARS_MAX).is_some() {
        return Err(Invalid::value(field, format!("must have at most {DESCRIPTION_CHARS_MAX} characters")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Invalid::value(field, "must not contain control characters"));
    }
    Ok(text)
}

/// A part of an address: words of a-z and 0-9 joined by single hyphens.
pub(crate) fn slug(field: &str, text: String) -> Result<String, Invalid> {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if text.len() <= SLUG_BYTES_MAX && text.split('-').all(word) {
        return Ok(text);
    }
    let rule = format!("must be words of a-z and 0-9 joined by hyphens, at most {SLUG_BYTES_MAX} characters");
    Err(Invalid::value(field, rule))
}

/// A stock keeping unit: 1 to 64 of A-Z, a-z, 0-9, dot, hyphen and underscore.
pub(crate) fn sku(field: &str, text: String) -> Result<String, Invalid> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if (1..=SKU_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text);
    }
    let rule = format!("must be 1 to {SKU_BYTES_MAX} letters, digits, dots, hyphens or underscores");
    Err(Invalid::value(field, rule))
}

/// Words to search for: up to 128 characters; blank ones are none.
pub(crate) fn search(field: &str, text: &str) -> Result<Option<String>, Invalid> {
    if text.chars().nth(SEARCH_CHARS_MAX).is_some() {
        return Err(Invalid::value(field, format!("must have at most {SEARCH_CHARS_MAX} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::value(field, "must not contain control characters"));
    }
    let words = text.trim();
    Ok((!words.is_empty()).then(|| words.to_owned()))
}

/// A JSON object of bounded size, width and depth; empty text is the empty object.
pub(crate) fn attributes(field: &str, json: &str) -> Result<Value, Invalid> {
    let object = object(field, json, ATTRIBUTES_BYTES_MAX)?;
    if members(&object) > ATTRIBUTES_MEMBERS_MAX {
        return Err(Invalid::value(
            field,
            format!("must have at most {ATTRIBUTES_MEMBERS_MAX} members in all"),
        ));
    }
    if depth(&object) > ATTRIBUTES_DEPTH_MAX {
        return Err(Invalid::value(field, format!("must be at most {ATTRIBUTES_DEPTH_MAX} levels deep")));
    }
    Ok(object)
}

/// A small JSON object of strings: what tells the variants of a product apart.
pub(crate) fn options(field: &str, json: &str) -> Result<Value, Invalid> {
    let object = object(field, json, OPTIONS_BYTES_MAX)?;
    if members(&object) > OPTIONS_MEMBERS_MAX {
        return Err(Invalid::value(field, format!("must have at most {OPTIONS_MEMBERS_MAX} members")));
    }
    if object.as_object().is_some_and(|members| members.values().any(|value| !value.is_string())) {
        return Err(Invalid::value(field, "must have strings only"));
    }
    Ok(object)
}

fn object(field: &str, json: &str, bytes_max: usize) -> Result<Value, Invalid> {
    if json.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    if json.len() > bytes_max {
        return Err(Invalid::value(field, format!("must have at most {bytes_max} bytes")));
    }
    match serde_json::from_str::<Value>(json) {
        // The database's JSON cannot hold the character that ends strings elsewhere.
        Ok(value) if has_nul(&value) => Err(Invalid::value(field, "must not contain the character U+0000")),
        Ok(value) if value.is_object() => Ok(value),
        _ => Err(Invalid::value(field, "must be a JSON object")),
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
    }
}

fn members(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => items.len() + items.iter().map(members).sum::<usize>(),
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn accepts<T>(result: Result<T, Invalid>) {
        if let Err(refusal) = result {
            panic!("refused: {refusal}");
        }
    }

    #[track_caller]
    fn refuses<T>(result: Result<T, Invalid>) {
        let refusal = result.err().expect("the text was accepted");
        assert_eq!(refusal.field, "f");
    }

    #[test]
    fn names_are_one_line_of_at_most_200_characters() {
        accepts(name("f", "Café".into()));
        accepts(name("f", "é".repeat(200)));
        refuses(name("f", "é".repeat(201)));
        refuses(name("f", String::new()));
        refuses(name("f", " \u{a0} ".into()));
        refuses(name("f", "a\0b".into()));
        refuses(name("f", "a\nb".into()));
    }

    #[test]
    fn slugs_are_words_joined_by_hyphens() {
        accepts(slug("f", "bourbon-amarelo-2".into()));
        accepts(slug("f", "a".repeat(120)));
        for text in ["", "-", "a-", "-a", "a--b", "A", "café", "a b", "a/b", "a\0"] {
            refuses(slug("f", text.into()));
        }
        refuses(slug("f", "a".repeat(121)));
    }

    #[test]
    fn descriptions_may_have_lines() {
        accepts(description("f", String::new()));
        accepts(description("f", "a\n\tb\r\n".into()));
        accepts(description("f", "é".repeat(20_000)));
        refuses(description("f", "é".repeat(20_001)));
        refuses(description("f", "a\0".into()));
    }

    #[test]
    fn skus_are_plain() {
        accepts(sku("f", "MC-001_250.G".into()));
        for text in ["", "a b", "ç", "a\0"] {
            refuses(sku("f", text.into()));
        }
        refuses(sku("f", "a".repeat(65)));
    }

    #[test]
    fn searches_are_short_and_blank_ones_are_none() {
        assert_eq!(search("f", "  café ").unwrap().as_deref(), Some("café"));
        assert_eq!(search("f", " \u{2003} ").unwrap(), None);
        accepts(search("f", &"é".repeat(128)));
        refuses(search("f", &"é".repeat(129)));
        refuses(search("f", "a\0b"));
    }

    #[test]
    fn attributes_are_bounded_objects() {
        accepts(attributes("f", ""));
        accepts(attributes("f", r#"{"notas":["mel","cacau"],"altitude":{"de":1100,"ate":1300}}"#));
        for json in [
            "[]",
            "1",
            "null",
            "{",
            "{} {}",
            r#"{"a":1e999}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"\u0000":1}"#,
            r#"{"a":"\ud800"}"#,
        ] {
            refuses(attributes("f", json));
        }
        refuses(attributes("f", &format!(r#"{{"a":"{}"}}"#, "x".repeat(ATTRIBUTES_BYTES_MAX))));
        refuses(attributes("f", &format!(r#"{{"a":[{}0]}}"#, "0,".repeat(ATTRIBUTES_MEMBERS_MAX))));
        refuses(attributes("f", &format!("{}{}{}", r#"{"a":"#, "[".repeat(200), "]".repeat(200) + "}")));
        refuses(attributes("f", r#"{"a":[[[[[1]]]]]}"#));
    }

    #[test]
    fn options_are_strings() {
        accepts(options("f", r#"{"peso":"250 g","moagem":"em grãos"}"#));
        refuses(options("f", r#"{"peso":250}"#));
        refuses(options(
            "f",
            &format!("{{{}}}", (0..11).map(|i| format!(r#""{i}":"""#)).collect::<Vec<_>>().join(",")),
        ));
    }
}
