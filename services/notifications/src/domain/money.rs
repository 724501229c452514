//! Amounts as people read them.

use std::fmt::Write as _;

/// Minor units as the shop shows them in every language: `R$ 1.290,50`.
pub(crate) fn formatted(amount: i64, currency: &str) -> String {
    let mut text = String::with_capacity(16);
    if amount < 0 {
        text.push('-');
    }
    text.push_str(if currency == "BRL" { "R$" } else { currency });
    text.push(' ');
    let units = (amount.unsigned_abs() / 100).to_string();
    for (position, digit) in units.char_indices() {
        if position > 0 && (units.len() - position).is_multiple_of(3) {
            text.push('.');
        }
        text.push(digit);
    }
    // Writing to a `String` cannot fail.
    let _ = write!(text, ",{:02}", amount.unsigned_abs() % 100);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_in_the_shop() {
        assert_eq!(formatted(0, "BRL"), "R$ 0,00");
        assert_eq!(formatted(12_905, "BRL"), "R$ 129,05");
        assert_eq!(formatted(123_456_789, "BRL"), "R$ 1.234.567,89");
        assert_eq!(formatted(-100_000, "USD"), "-USD 1.000,00");
    }
}
