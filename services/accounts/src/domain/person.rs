//! What people say about themselves: their name and their language.

use super::Invalid;

const NAME_CHARS_MAX: usize = 200;

/// A language that the shop speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locale {
    PtBr,
    En,
}

impl Locale {
    /// Reads `pt-BR` or `en`; nothing means `pt-BR`.
    pub(crate) fn parse(field: &str, word: &str) -> Result<Self, Invalid> {
        match word {
            "pt-BR" | "" => Ok(Self::PtBr),
            "en" => Ok(Self::En),
            _ => Err(Invalid::value(field, "must be pt-BR or en")),
        }
    }

    /// The word of the contract and of the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PtBr => "pt-BR",
            Self::En => "en",
        }
    }
}

/// A person's name: 1 to 200 characters, none of them a control character, without outer blanks.
pub(crate) fn name(field: &str, name: &str) -> Result<String, Invalid> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > NAME_CHARS_MAX {
        return Err(Invalid::value(field, format!("must have 1 to {NAME_CHARS_MAX} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(Invalid::value(field, "must not hold control characters"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(name("name", "  Ana Luíza \t"), Ok("Ana Luíza".to_owned()));
        assert_eq!(name("name", &"é".repeat(200)).map(|name| name.len()), Ok(400));
        for wrong in ["", "   ", "a\nb", "a\0b", &"a".repeat(201)] {
            assert_eq!(name("name", wrong).unwrap_err().field, "name", "{wrong:?}");
        }
    }

    #[test]
    fn locales_are_two() {
        assert_eq!(Locale::parse("locale", ""), Ok(Locale::PtBr));
        for locale in [Locale::PtBr, Locale::En] {
            assert_eq!(Locale::parse("locale", locale.as_str()), Ok(locale));
        }
        for wrong in ["pt", "PT-br", "en-US", "de"] {
            assert!(Locale::parse("locale", wrong).is_err(), "{wrong}");
        }
    }
}
