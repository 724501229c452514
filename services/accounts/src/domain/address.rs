//! Where people have things sent: addresses that were looked at once.

use super::Invalid;
use super::cep::{self, Cep};

/// Addresses that one user may have.
pub(crate) const ADDRESSES_MAX: i64 = 50;

const LABEL_CHARS_MAX: usize = 60;
const RECIPIENT_CHARS_MAX: usize = 200;
const LINE_CHARS_MAX: usize = 200;
const PLACE_CHARS_MAX: usize = 120;

/// Identifies an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressId(i64);

impl AddressId {
    /// Ids start at 1.
    pub(crate) fn parse(field: &str, id: i64) -> Result<Self, Invalid> {
        if id > 0 { Ok(Self(id)) } else { Err(Invalid::value(field, "must be a positive integer")) }
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

/// An address as it may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressFields {
    pub(crate) label: Option<String>,
    pub(crate) recipient: String,
    pub(crate) line1: String,
    pub(crate) line2: Option<String>,
    pub(crate) district: Option<String>,
    pub(crate) place: Place,
}

/// City, state and postal code that do not contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    city: String,
    state: String,
    cep: String,
}

/// Which of an address's fields change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddressPatch {
    /// `Some(None)` removes it; likewise below.
    pub(crate) label: Option<Option<String>>,
    pub(crate) recipient: Option<String>,
    pub(crate) line1: Option<String>,
    pub(crate) line2: Option<Option<String>>,
    pub(crate) district: Option<Option<String>>,
    pub(crate) city: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) postal_code: Option<String>,
}

impl Place {
    /// Puts the three together. An empty state follows from the postal code, an empty city too where the
    /// code is one of a capital's. When state and code contradict each other, `blamed` is named.
    pub(crate) fn parse(
        city: &str,
        state: &str,
        postal_code: &str,
        blamed: &'static str,
    ) -> Result<Self, Invalid> {
        let cep = Cep::parse("postal_code", postal_code)?;
        let region = cep.region();
        let state = state.trim();
        let state = if state.is_empty() {
            region.state.to_owned()
        } else {
            let state = state.to_ascii_uppercase();
            if !cep::is_state(&state) {
                return Err(Invalid::value("state", "must be the two letters of a state"));
            }
            state
        };
        if state != region.state {
            let detail = format!("the CEP is in {}, not in {state}", region.state);
            return Err(Invalid::because("cep_contradicts_state", blamed, detail));
        }
        let city = match (city.trim(), region.capital) {
            ("", Some(capital)) => capital.to_owned(),
            (city, _) => line("city", city, PLACE_CHARS_MAX)?,
        };
        Ok(Self { city, state, cep: cep.digits().to_owned() })
    }

    /// The city's name.
    pub(crate) fn city(&self) -> &str {
        &self.city
    }

    /// Two letters.
    pub(crate) fn state(&self) -> &str {
        &self.state
    }

    /// Eight digits.
    pub(crate) fn cep(&self) -> &str {
        &self.cep
    }
}

impl AddressPatch {
    /// The address as it is after the change.
    pub(crate) fn apply(self, current: AddressFields) -> Result<AddressFields, Invalid> {
        let blamed = if self.state.is_some() { "state" } else { "postal_code" };
        let place = Place::parse(
            self.city.as_deref().unwrap_or(current.place.city()),
            self.state.as_deref().unwrap_or(current.place.state()),
            self.postal_code.as_deref().unwrap_or(current.place.cep()),
            blamed,
        )?;
        Ok(AddressFields {
            label: self.label.unwrap_or(current.label),
            recipient: self.recipient.unwrap_or(current.recipient),
            line1: self.line1.unwrap_or(current.line1),
            line2: self.line2.unwrap_or(current.line2),
            district: self.district.unwrap_or(current.district),
            place,
        })
    }
}

/// What the user calls the address; empty is none.
pub(crate) fn label(text: &str) -> Result<Option<String>, Invalid> {
    optional("label", text, LABEL_CHARS_MAX)
}

/// Who receives what is sent there.
pub(crate) fn recipient(text: &str) -> Result<String, Invalid> {
    line("recipient", text, RECIPIENT_CHARS_MAX)
}

/// Street and number.
pub(crate) fn line1(text: &str) -> Result<String, Invalid> {
    line("line1", text, LINE_CHARS_MAX)
}

/// What else helps to find the door; empty is none.
pub(crate) fn line2(text: &str) -> Result<Option<String>, Invalid> {
    optional("line2", text, LINE_CHARS_MAX)
}

/// The part of the city; empty is none.
pub(crate) fn district(text: &str) -> Result<Option<String>, Invalid> {
    optional("district", text, PLACE_CHARS_MAX)
}

fn optional(field: &str, text: &str, chars_max: usize) -> Result<Option<String>, Invalid> {
    if text.trim().is_empty() { Ok(None) } else { line(field, text, chars_max).map(Some) }
}

fn line(field: &str, text: &str, chars_max: usize) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Invalid::value(field, "must not be empty"));
    }
    if text.chars().nth(chars_max).is_some() {
        return Err(Invalid::value(field, format!("must have at most {chars_max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::value(field, "must be one line without control characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> AddressFields {
        AddressFields {
            label: Some("Casa".to_owned()),
            recipient: "Ana".to_owned(),
            line1: "Rua A, 1".to_owned(),
            line2: Some("Apto 2".to_owned()),
            district: None,
            place: Place::parse("", "", "01310100", "state").unwrap(),
        }
    }

    #[test]
    fn city_and_state_follow_from_the_postal_code() {
        #[track_caller]
        fn check(city: &str, state: &str, cep: &str, expected: (&str, &str, &str)) {
            let place = Place::parse(city, state, cep, "state").unwrap();
            assert_eq!((place.city(), place.state(), place.cep()), expected);
        }
        check("", "", "01310-100", ("São Paulo", "SP", "01310100"));
        check("", "rj", "20040002", ("Rio de Janeiro", "RJ", "20040002"));
        check("Campinas", "", "13083970", ("Campinas", "SP", "13083970"));
        // What is given stays, also where the code would name another.
        check("Águas Claras", "DF", "71900100", ("Águas Claras", "DF", "71900100"));
    }

    #[test]
    fn what_contradicts_the_postal_code_is_refused_by_name() {
        #[track_caller]
        fn check(city: &str, state: &str, cep: &str, field: &str, reason: &str) {
            let refusal = Place::parse(city, state, cep, "state").unwrap_err();
            assert_eq!((refusal.field.as_str(), refusal.reason), (field, reason));
        }
        check("", "RJ", "01310100", "state", "cep_contradicts_state");
        check("", "XX", "01310100", "state", "invalid_value");
        check("", "", "13083970", "city", "invalid_value");
        check("", "", "1", "postal_code", "invalid_value");
        check(&"a".repeat(121), "", "13083970", "city", "invalid_value");
    }

    #[test]
    fn a_patch_changes_what_it_names_and_keeps_the_place_whole() {
        let moved = AddressPatch {
            label: Some(None),
            state: Some(String::new()),
            city: Some(String::new()),
            postal_code: Some("20040002".to_owned()),
            ..AddressPatch::default()
        };
        let after = moved.apply(home()).unwrap();
        assert_eq!((after.label, after.place.city(), after.place.state()), (None, "Rio de Janeiro", "RJ"));
        assert_eq!((after.recipient, after.line2.as_deref()), ("Ana".to_owned(), Some("Apto 2")));

        let code_alone = AddressPatch { postal_code: Some("20040002".to_owned()), ..AddressPatch::default() };
        assert_eq!(code_alone.apply(home()).unwrap_err().field, "postal_code");
        let state_alone = AddressPatch { state: Some("RJ".to_owned()), ..AddressPatch::default() };
        assert_eq!(state_alone.apply(home()).unwrap_err().field, "state");
        assert_eq!(AddressPatch::default().apply(home()).unwrap(), home());
    }

    #[test]
    fn texts_are_single_lines() {
        assert_eq!(recipient("  Ana ").unwrap(), "Ana");
        assert_eq!(label(" \u{2003} ").unwrap(), None);
        assert!(recipient("").is_err() && line1("a\nb").is_err() && line2("a\0").is_err());
        assert!(district(&"é".repeat(120)).is_ok() && district(&"é".repeat(121)).is_err());
    }
}
