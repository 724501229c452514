//! Brazilian postal codes (CEP): eight digits. Where they are is in the tables that price shipping.

use super::Invalid;

const DIGITS: usize = 8;
/// The hyphen of the written form comes after so many digits, and ranges are told by them.
const PREFIX_DIGITS: usize = 5;

/// Eight digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cep(String);

impl Cep {
    /// Reads eight digits, or the written form with a hyphen before the last three.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let digits = match text.split_once('-') {
            Some((prefix, suffix)) if prefix.len() == PREFIX_DIGITS => format!("{prefix}{suffix}"),
            Some(_) | None => text.to_owned(),
        };
        if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Invalid::value(field, "must be a CEP of eight digits"));
        }
        Ok(Self(digits))
    }

    /// The eight digits.
    pub(crate) fn digits(&self) -> &str {
        &self.0
    }

    /// The first five digits, by which ranges are told.
    pub(crate) fn prefix(&self) -> i32 {
        self.0[..PREFIX_DIGITS].parse().expect("five digits are a number")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_eight_digits() {
        for (text, digits, prefix) in [("01310100", "01310100", 1_310), ("35400-000", "35400000", 35_400)] {
            let cep = Cep::parse("f", text).unwrap();
            assert_eq!((cep.digits(), cep.prefix()), (digits, prefix));
        }
        for text in
            ["", "0131010", "013101000", "01310 100", "0131-0100", "01310--10", "0131010a", "٠١٣١٠١٠٠"]
        {
            assert_eq!(Cep::parse("f", text).unwrap_err().field, "f", "{text}");
        }
    }
}
