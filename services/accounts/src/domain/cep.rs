//! Brazilian postal codes: eight digits that name a state, and often its capital.

use std::sync::LazyLock;

use super::Invalid;

/// Postal code ranges as published; its header says by whom.
const RANGES: &str = include_str!("../../data/cep_ranges.csv");
const DIGITS: usize = 8;
/// A range is told by so many leading digits.
const PREFIX_DIGITS: usize = 5;

/// A postal code that belongs to a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cep {
    digits: String,
    region: Region,
}

/// Where a postal code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    /// Two letters.
    pub(crate) state: &'static str,
    /// The state's capital, when the code is one of the capital's.
    pub(crate) capital: Option<&'static str>,
}

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
        let region =
            region(&digits).ok_or_else(|| Invalid::value(field, "is in no state's range of postal codes"))?;
        Ok(Self { digits, region })
    }

    /// The eight digits.
    pub(crate) fn digits(&self) -> &str {
        &self.digits
    }

    /// Where it is.
    pub(crate) fn region(&self) -> Region {
        self.region
    }
}

/// Says whether two letters are one of the 27 states.
pub(crate) fn is_state(letters: &str) -> bool {
    TABLE.iter().any(|range| range.state == letters)
}

struct Range {
    from: u32,
    to: u32,
    state: &'static str,
    capital: Option<&'static str>,
}

static TABLE: LazyLock<Vec<Range>> = LazyLock::new(|| {
    let rows = RANGES.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|line| range(line).expect("the table of the crate is well formed, as its test shows")).collect()
});

fn range(line: &'static str) -> Option<Range> {
    let mut columns = line.split(',');
    let (from, to) = (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
    let (state, capital) = (columns.next()?, columns.next()?);
    Some(Range { from, to, state, capital: (!capital.is_empty()).then_some(capital) })
}

/// A few dozen ranges: walking them is faster than the database would be asked.
fn region(digits: &str) -> Option<Region> {
    let prefix: u32 = digits[..PREFIX_DIGITS].parse().ok()?;
    let mut within = TABLE.iter().filter(|range| (range.from..=range.to).contains(&prefix));
    let first = within.next()?;
    let capital = first.capital.or_else(|| within.find_map(|range| range.capital));
    Some(Region { state: first.state, capital })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_whole() {
        let states: BTreeSet<_> = TABLE.iter().map(|range| range.state).collect();
        let with_capital: BTreeSet<_> =
            TABLE.iter().filter(|range| range.capital.is_some()).map(|range| range.state).collect();
        assert_eq!(states.len(), 27);
        assert_eq!(states, with_capital);
        assert!(TABLE.iter().all(|range| range.from <= range.to && range.to <= 99_999));
        for prefix in 0..100_000 {
            let of_states = TABLE
                .iter()
                .filter(|range| range.capital.is_none() && (range.from..=range.to).contains(&prefix));
            assert!(of_states.count() <= 1, "{prefix:05} is in two states");
            let found: BTreeSet<_> = TABLE
                .iter()
                .filter(|range| (range.from..=range.to).contains(&prefix))
                .map(|range| range.state)
                .collect();
            assert!(found.len() <= 1, "{prefix:05} has a capital of another state");
        }
    }

    #[test]
    fn a_code_names_its_state_and_often_its_capital() {
        #[track_caller]
        fn check(text: &str, state: &str, capital: Option<&str>) {
            let region = Cep::parse("f", text).unwrap().region();
            assert_eq!((region.state, region.capital), (state, capital), "{text}");
        }
        check("01310100", "SP", Some("São Paulo"));
        check("01310-100", "SP", Some("São Paulo"));
        check("13083970", "SP", None);
        check("08499999", "SP", Some("São Paulo"));
        check("08500000", "SP", None);
        check("20040002", "RJ", Some("Rio de Janeiro"));
        check("35400000", "MG", None);
        check("69299999", "AM", None);
        check("69300000", "RR", Some("Boa Vista"));
        check("69400000", "AM", None);
        check("72799999", "DF", Some("Brasília"));
        check("72800000", "GO", None);
        check("73000000", "DF", Some("Brasília"));
        check("99999999", "RS", None);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for text in [
            "",
            "0131010",
            "013101000",
            "01310 100",
            "0131-0100",
            "01310-1000",
            "01310--100",
            "0131010a",
            "٠١٣١٠١٠٠",
            "00000000",
            "00999999",
            "78900000",
            "-1310100",
            "+1310100",
        ] {
            let refusal = Cep::parse("f", text).expect_err(text);
            assert_eq!((refusal.field.as_str(), refusal.reason), ("f", "invalid_value"));
        }
    }

    #[test]
    fn states_are_two_capital_letters() {
        assert!(is_state("SP") && is_state("RR"));
        assert!(!is_state("sp") && !is_state("XX") && !is_state(""));
    }
}
