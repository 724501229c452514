//! What a buyer says at the checkout.

use sha2::{Digest as _, Sha256};

use super::Invalid;
use super::cep::Cep;
use super::tax::State;

const NAME_CHARS_MAX: usize = 120;
const LINE_CHARS_MAX: usize = 200;
const EMAIL_BYTES_MAX: usize = 254;

/// Where an order goes, all of it valid.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) recipient: String,
    pub(crate) line1: String,
    pub(crate) line2: Option<String>,
    pub(crate) district: Option<String>,
    pub(crate) city: String,
    pub(crate) state: State,
    pub(crate) cep: Cep,
}

/// Where somebody lives does not belong into a log.
impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Destination(..)")
    }
}

/// The only country that is shipped to.
pub(crate) const COUNTRY: &str = "BR";

/// A person's name: one line of at most 120 characters.
pub(crate) fn name(field: &str, text: &str) -> Result<String, Invalid> {
    line(field, text, NAME_CHARS_MAX)
}

/// A line of an address: at most 200 characters.
pub(crate) fn address_line(field: &str, text: &str) -> Result<String, Invalid> {
    line(field, text, LINE_CHARS_MAX)
}

fn line(field: &str, text: &str, chars_max: usize) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Invalid::value(field, "must not be empty"));
    }
    if text.chars().count() > chars_max {
        return Err(Invalid::value(field, format!("must be at most {chars_max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::value(field, "must be one line without control characters"));
    }
    Ok(text.to_owned())
}

/// A guest's mail address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Email(String);

impl Email {
    /// Something before and after one `@`, with a dot after it: whether it is somebody's, a mail will tell.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let refused = || Invalid::value(field, "must be a mail address");
        let (local, domain) = text.split_once('@').ok_or_else(refused)?;
        let fits = text.len() <= EMAIL_BYTES_MAX
            && (1..=64).contains(&local.len())
            && domain.contains('.')
            && !domain.contains('@')
            && domain.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
            && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),:;<>[\\]".contains(&b));
        if fits { Ok(Self(text.to_owned())) } else { Err(refused()) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As coupons know a guest.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.to_ascii_lowercase()).into()
    }
}

/// Addresses stay out of logs.
impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email(..)")
    }
}

super::words! {
    /// How the buyer is written to.
    Locale {
        Portuguese = "pt-BR",
        English = "en",
    } else "must be pt-BR or en"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mail_can_reach() {
        for good in ["ana@example.com", "a.b+c@sub.example.com.br", " ana@example.com "] {
            assert!(Email::parse("email", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "@",
            "ana",
            "ana@",
            "@example.com",
            "ana@example",
            "ana@@example.com",
            "a b@example.com",
            "ana@example..com",
            "ana@exam ple.com",
            "ana\r\nBcc: x@example.com",
            "<ana@example.com>",
            "é@example.com",
        ] {
            assert_eq!(Email::parse("email", bad).unwrap_err().field, "email", "{bad}");
        }
        let upper = Email::parse("email", "Ana@Example.com").unwrap();
        assert_eq!(upper.sha256(), Email::parse("email", "ana@example.com").unwrap().sha256());
        assert_eq!(format!("{upper:?}"), "Email(..)");
    }

    #[test]
    fn lines_of_an_address_are_lines() {
        assert_eq!(address_line("f", " Rua das Flores, 1 ").unwrap(), "Rua das Flores, 1");
        for bad in ["", "  ", "a\nb", &"x".repeat(201)] {
            assert!(address_line("f", bad).is_err(), "{bad}");
        }
    }
}
