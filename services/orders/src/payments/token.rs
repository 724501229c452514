//! The provider's token of a card: the nearest thing to a card that ever reaches us.

/// Longer ones are none.
const LENGTH_MAX: usize = 255;

/// A token `pm_…`. It can be put into a request to the provider, and nowhere else: it cannot be printed,
/// serialised or compared.
pub(crate) struct CardToken(String);

impl CardToken {
    /// The token, unless this is something else; a card's number is.
    pub(crate) fn parse(text: String) -> Option<Self> {
        let name = text.strip_prefix("pm_")?;
        let fits = !name.is_empty() && text.len() <= LENGTH_MAX;
        (fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(Self(text))
    }

    /// Whether it is one of the names that only test environments know.
    pub(crate) fn is_for_tests(&self) -> bool {
        self.0.starts_with("pm_card_") || self.0.starts_with("pm_sandbox_")
    }

    /// For the body of the request.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_token_and_a_card_is_none() {
        #[track_caller]
        fn check(text: &str, taken: bool) {
            assert_eq!(CardToken::parse(text.to_owned()).is_some(), taken, "{text:?}");
        }
        check("pm_1NXpQuLkdIwHu7ix4Wzi", true);
        check("pm_card_visa", true);
        check("pm_", false);
        check("4242424242424242", false);
        check("pm_4242 4242", false);
        check("pm_x&amount=1", false);
        check(&format!("pm_{}", "x".repeat(300)), false);
    }
}
