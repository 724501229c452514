//! Texts that were looked at once: lengths, characters, shapes.

use super::Invalid;

const NAME_CHARS_MAX: usize = 200;
const BIO_CHARS_MAX: usize = 2_000;
const NOTES_CHARS_MAX: usize = 4_000;
const EMAIL_BYTES_MAX: usize = 254;
const PHONE_BYTES_MAX: usize = 32;

/// A name, a title or a place on one line: 1 to 200 characters, not blank, no control characters.
pub(crate) fn line(field: &str, text: String) -> Result<String, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::value(field, "must not be empty"));
    }
    if text.chars().nth(NAME_CHARS_MAX).is_some() {
        return Err(Invalid::value(field, format!("must have at most {NAME_CHARS_MAX} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::value(field, "must be one line without control characters"));
    }
    Ok(text)
}

/// A few words about a person: up to 2,000 characters, lines and tabs allowed.
pub(crate) fn bio(field: &str, text: String) -> Result<String, Invalid> {
    lines(field, text, BIO_CHARS_MAX)
}

/// Running text: up to 4,000 characters, lines and tabs allowed.
pub(crate) fn notes(field: &str, text: String) -> Result<String, Invalid> {
    lines(field, text, NOTES_CHARS_MAX)
}

fn lines(field: &str, text: String, chars_max: usize) -> Result<String, Invalid> {
    if text.chars().nth(chars_max).is_some() {
        return Err(Invalid::value(field, format!("must have at most {chars_max} characters")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Invalid::value(field, "must not contain control characters"));
    }
    Ok(text)
}

/// An address that mail could be sent to: something, one `@`, a domain with a dot. Nothing is sent here,
/// so the shape is all that is asked for.
pub(crate) fn email(field: &str, text: String) -> Result<String, Invalid> {
    let shape = text.split_once('@').is_some_and(|(local, domain)| {
        let labels = domain.split('.').collect::<Vec<_>>();
        !local.is_empty() && labels.len() > 1 && labels.iter().all(|label| !label.is_empty())
    });
    let plain = text.matches('@').count() == 1 && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if shape && plain && text.len() <= EMAIL_BYTES_MAX {
        return Ok(text);
    }
    let rule = format!("must be a mail address of at most {EMAIL_BYTES_MAX} bytes");
    Err(Invalid::value(field, rule))
}

/// A telephone number as people write it: digits with `+ - ( ) .` and spaces between.
pub(crate) fn phone(field: &str, text: String) -> Result<String, Invalid> {
    let written = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'(' | b')' | b'.' | b' ');
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if text.len() <= PHONE_BYTES_MAX && text.bytes().all(written) && (3..=15).contains(&digits) {
        return Ok(text);
    }
    Err(Invalid::value(field, "must be a telephone number of 3 to 15 digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn accepts(result: Result<String, Invalid>) {
        if let Err(refusal) = result {
            panic!("refused: {refusal}");
        }
    }

    #[track_caller]
    fn refuses(result: Result<String, Invalid>) {
        let refusal = result.expect_err("the text was accepted");
        assert_eq!(refusal.field, "f");
    }

    #[test]
    fn lines_are_not_blank_and_have_at_most_200_characters() {
        accepts(line("f", "é".repeat(200)));
        refuses(line("f", "é".repeat(201)));
        for text in ["", " \u{a0} ", "a\0b", "a\nb"] {
            refuses(line("f", text.into()));
        }
    }

    #[test]
    fn running_text_may_have_lines() {
        accepts(notes("f", String::new()));
        accepts(notes("f", "a\n\tb\r\n".into()));
        accepts(notes("f", "é".repeat(4_000)));
        refuses(notes("f", "é".repeat(4_001)));
        refuses(notes("f", "a\0".into()));
        accepts(bio("f", "é".repeat(2_000)));
        refuses(bio("f", "é".repeat(2_001)));
    }

    #[test]
    fn mail_addresses_have_a_shape() {
        for text in ["ana@mestres.example", "a+b@x.co", "joão@café.example"] {
            accepts(email("f", text.into()));
        }
        for text in
            ["", "ana", "@x.co", "ana@", "ana@x", "ana@.co", "ana@x.", "a@b@x.co", "a b@x.co", "a\n@x.co"]
        {
            refuses(email("f", text.into()));
        }
        refuses(email("f", format!("{}@x.co", "a".repeat(250))));
    }

    #[test]
    fn telephone_numbers_are_digits_as_people_write_them() {
        for text in ["190", "+55 (31) 99999-0000", "31.3333.4444"] {
            accepts(phone("f", text.into()));
        }
        for text in ["", "12", "abc", "1234567890123456", "31 9999 x", "１２３"] {
            refuses(phone("f", text.into()));
        }
    }
}
