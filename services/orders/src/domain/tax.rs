//! Taxes inside the prices: what of a total is ICMS, by the state that the goods go to.
//!
//! Prices are what buyers pay; nothing is added to them. ICMS is computed from the inside (its base contains it): a
//! rate of 18 % of what is paid, freight included. The rates are each state's general internal rate with its
//! surcharge for the fund against poverty where one is general, as in force in 2025, and an **approximation**: they
//! know no reduced base for roasted coffee, no special regime, and no split between the states of origin and of
//! destination. Good for showing a buyer the approximate share of taxes (Law 12,741 of 2012), not for a tax return.

/// What of a total is one tax.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct TaxLine {
    /// Such as ICMS.
    pub(crate) name: String,
    /// Hundredths of a percent.
    pub(crate) rate_basis_points: i32,
    /// Minor units.
    pub(crate) amount: i64,
}

/// Where the shop is: what is not sent yet is taken to stay.
pub(crate) const HOME: State = State(10);

/// One of the 27 states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(usize);

/// Two letters, and the rate in hundredths of a percent.
const ICMS: [(&str, i32); 27] = [
    ("AC", 1_900),
    ("AL", 2_000),
    ("AM", 2_000),
    ("AP", 1_800),
    ("BA", 2_050),
    ("CE", 2_000),
    ("DF", 2_000),
    ("ES", 1_700),
    ("GO", 1_900),
    ("MA", 2_300),
    ("MG", 1_800),
    ("MS", 1_700),
    ("MT", 1_700),
    ("PA", 1_900),
    ("PB", 2_000),
    ("PE", 2_050),
    ("PI", 2_250),
    ("PR", 1_950),
    ("RJ", 2_200),
    ("RN", 2_000),
    ("RO", 1_950),
    ("RR", 2_000),
    ("RS", 1_700),
    ("SC", 1_700),
    ("SE", 2_000),
    ("SP", 1_800),
    ("TO", 2_000),
];

impl State {
    /// The state of two capital letters.
    pub(crate) fn named(letters: &str) -> Option<Self> {
        ICMS.iter().position(|(state, _)| *state == letters).map(Self)
    }

    /// Two capital letters.
    pub(crate) fn letters(self) -> &'static str {
        ICMS[self.0].0
    }
}

/// The taxes inside `total`, minor units, of goods sent to `destination`. Rounded half up to whole centavos.
pub(crate) fn included(destination: State, total: i64) -> Vec<TaxLine> {
    let rate_basis_points = ICMS[destination.0].1;
    let amount = (i128::from(total.max(0)) * i128::from(rate_basis_points) + 5_000) / 10_000;
    let amount = i64::try_from(amount).expect("a part of a total is no more than the total");
    vec![TaxLine { name: "ICMS".to_owned(), rate_basis_points, amount }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_rate() {
        assert_eq!(HOME.letters(), "MG");
        assert!(ICMS.windows(2).all(|pair| pair[0].0 < pair[1].0), "the states are in order, each once");
        assert!(ICMS.iter().all(|(_, rate)| (1_700..=2_300).contains(rate)));
        assert_eq!(State::named("SP").map(State::letters), Some("SP"));
        assert_eq!(State::named("XX"), None);
        assert_eq!(State::named("sp"), None);
    }

    #[test]
    fn taxes_are_inside_the_total() {
        let sp = State::named("SP").unwrap();
        let of = |total| included(sp, total)[0].amount;
        assert_eq!((of(10_000), of(0), of(3), of(1), of(-5)), (1_800, 0, 1, 0, 0));
        assert!(of(i64::MAX) < i64::MAX);
    }
}
