//! Prices: bounded amounts of centavos.

use std::collections::HashSet;

use super::{Invalid, VariantId};

/// The only currency of the base price list.
pub(crate) const CURRENCY: &str = "BRL";
/// The price list that everybody sees.
pub(crate) const BASE_LIST: &str = "base";
/// One million reais: far above any coffee, far below any overflow of a sum.
pub(crate) const AMOUNT_MAX: i64 = 100_000_000;
const PRICES_MAX: usize = 50;

/// What something costs, and what it cost before a reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) amount: i64,
    pub(crate) compare_at: Option<i64>,
}

impl Price {
    /// Accepts 0 to `AMOUNT_MAX`, and a former price that is not lower; `field` names the amount.
    pub(crate) fn parse(
        amount_field: &str,
        amount: i64,
        compare_at_field: &str,
        compare_at: Option<i64>,
    ) -> Result<Self, Invalid> {
        let bounded = 0..=AMOUNT_MAX;
        if !bounded.contains(&amount) {
            return Err(Invalid::value(amount_field, format!("must be 0 to {AMOUNT_MAX}")));
        }
        match compare_at {
            Some(before) if before < amount || !bounded.contains(&before) => {
                Err(Invalid::value(compare_at_field, format!("must be the price itself to {AMOUNT_MAX}")))
            }
            _ => Ok(Self { amount, compare_at }),
        }
    }
}

/// New prices of variants of one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PriceChanges(Vec<(VariantId, Price)>);

impl PriceChanges {
    /// Accepts 1 to 50 prices, each for another variant.
    pub(crate) fn parse(field: &str, changes: Vec<(VariantId, Price)>) -> Result<Self, Invalid> {
        if !(1..=PRICES_MAX).contains(&changes.len()) {
            return Err(Invalid::value(field, format!("must be 1 to {PRICES_MAX} prices")));
        }
        let mut seen = HashSet::new();
        match changes.iter().position(|(variant, _)| !seen.insert(*variant)) {
            Some(index) => Err(Invalid::value(format!("{field}[{index}].variant_id"), "must be named once")),
            None => Ok(Self(changes)),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (VariantId, Price)> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_bounded_and_reductions_reduce() {
        let parse = |amount, compare_at| Price::parse("a", amount, "c", compare_at).map_err(|r| r.field);
        assert!(parse(0, None).is_ok());
        assert!(parse(AMOUNT_MAX, Some(AMOUNT_MAX)).is_ok());
        assert_eq!(parse(-1, None), Err("a".into()));
        assert_eq!(parse(AMOUNT_MAX + 1, None), Err("a".into()));
        assert_eq!(parse(i64::MIN, None), Err("a".into()));
        assert_eq!(parse(100, Some(99)), Err("c".into()));
        assert_eq!(parse(100, Some(i64::MAX)), Err("c".into()));
    }

    #[test]
    fn a_variant_has_one_new_price() {
        let price = Price { amount: 1, compare_at: None };
        let variant = |id| VariantId::parse("v", id).unwrap();
        assert!(PriceChanges::parse("p", vec![]).is_err());
        assert!(PriceChanges::parse("p", (1..=50).map(|id| (variant(id), price)).collect()).is_ok());
        assert!(PriceChanges::parse("p", (1..=51).map(|id| (variant(id), price)).collect()).is_err());
        let twice = PriceChanges::parse("p", vec![(variant(7), price), (variant(7), price)]);
        assert_eq!(twice.unwrap_err().field, "p[1].variant_id");
    }
}
