//! What a cart costs: one pure function, for carts that are looked at and for orders that are placed.
//!
//! - A percentage is rounded down to whole centavos: it never gives more than it says.
//! - A discount on several lines is spread by their amounts; the centavos that remain go to the lines with the
//!   largest remainders, first lines first. So lines add up exactly, and no line costs less than nothing.
//! - Free units of "buy so many" are the cheapest ones.
//! - Free shipping makes the shipping amount 0; it is no discount on items.

use super::coupon::{Kind, Offer};
use super::tax::{self, State, TaxLine};

/// All of it, in hundredths of a percent.
const WHOLE: i128 = 10_000;

/// Goods of one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) variant_id: i64,
    pub(crate) product_id: i64,
    /// Not negative.
    pub(crate) quantity: i32,
    /// Minor units, not negative.
    pub(crate) unit_amount: i64,
}

impl Line {
    /// Before any discount.
    pub(crate) fn amount(self) -> i64 {
        i64::from(self.quantity.max(0)).saturating_mul(self.unit_amount.max(0))
    }
}

/// A line with its part of the discount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PricedLine {
    /// `unit_amount * quantity`.
    pub(crate) amount: i64,
    pub(crate) discount: i64,
    /// `amount - discount`, never negative.
    pub(crate) total: i64,
}

/// What everything costs. `total = items - discount + shipping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Priced {
    /// One for each line, in their order.
    pub(crate) lines: Vec<PricedLine>,
    pub(crate) items: i64,
    /// At most `items`.
    pub(crate) discount: i64,
    /// 0 when the coupon ships for nothing.
    pub(crate) shipping: i64,
    /// What the coupon gives, waived shipping included.
    pub(crate) given: i64,
    /// Inside `total`.
    pub(crate) taxes: Vec<TaxLine>,
    pub(crate) total: i64,
    /// Why the coupon gives nothing, when it does not apply.
    pub(crate) not_applicable: Option<NotApplicable>,
}

impl Priced {
    /// All taxes together.
    pub(crate) fn tax(&self) -> i64 {
        self.taxes.iter().map(|tax| tax.amount).sum()
    }
}

/// Why a coupon gives nothing to these lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotApplicable {
    /// The items are worth less than it asks for.
    BelowMinimum,
    /// It is for other goods.
    NoEligibleItems,
    /// Fewer units than have to be bought.
    TooFewUnits,
}

impl NotApplicable {
    /// The word that programs compare.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::BelowMinimum => "below_minimum",
            Self::NoEligibleItems => "no_eligible_items",
            Self::TooFewUnits => "too_few_units",
        }
    }
}

/// Prices `lines`, sent to `destination` for `shipping` (minor units; 0 while it is not known).
pub(crate) fn price(lines: &[Line], offer: Option<&Offer>, shipping: i64, destination: State) -> Priced {
    let amounts: Vec<i64> = lines.iter().map(|line| line.amount()).collect();
    let items = amounts.iter().sum::<i64>();
    let mut discounts = vec![0; lines.len()];
    let mut shipped_for = shipping.max(0);
    let mut not_applicable = None;
    if let Some(offer) = offer {
        match apply(offer, lines, &amounts, items) {
            Ok(Gift::Lines(given)) => discounts = given,
            Ok(Gift::Shipping) => shipped_for = 0,
            Err(reason) => not_applicable = Some(reason),
        }
    }
    let discount = discounts.iter().sum::<i64>();
    let total = items - discount + shipped_for;
    Priced {
        lines: amounts
            .iter()
            .zip(&discounts)
            .map(|(amount, discount)| PricedLine {
                amount: *amount,
                discount: *discount,
                total: amount - discount,
            })
            .collect(),
        items,
        discount,
        shipping: shipped_for,
        given: discount + shipping.max(0) - shipped_for,
        taxes: tax::included(destination, total),
        total,
        not_applicable,
    }
}

/// What a coupon gives.
enum Gift {
    /// A discount for each line.
    Lines(Vec<i64>),
    Shipping,
}

fn apply(offer: &Offer, lines: &[Line], amounts: &[i64], items: i64) -> Result<Gift, NotApplicable> {
    let rules = &offer.rules;
    if rules.min_items_amount.is_some_and(|minimum| items < minimum) {
        return Err(NotApplicable::BelowMinimum);
    }
    let eligible: Vec<i64> = lines
        .iter()
        .zip(amounts)
        .map(|(line, amount)| if rules.apply_to(line.product_id, line.variant_id) { *amount } else { 0 })
        .collect();
    let base = eligible.iter().sum::<i64>();
    if base == 0 {
        return Err(NotApplicable::NoEligibleItems);
    }
    match offer.kind {
        Kind::FreeShipping => Ok(Gift::Shipping),
        Kind::Fixed => Ok(Gift::Lines(spread(offer.value.clamp(0, base), &eligible))),
        Kind::Percent => {
            let part = i128::from(base) * i128::from(offer.value.clamp(0, 10_000)) / WHOLE;
            let part = i64::try_from(part).expect("a part of an amount is no more than the amount");
            let most = rules.max_discount_amount.unwrap_or(part).max(0);
            Ok(Gift::Lines(spread(part.min(most), &eligible)))
        }
        Kind::BuyXGetY => free_units(offer, lines).map(Gift::Lines).ok_or(NotApplicable::TooFewUnits),
    }
}

/// Splits `amount`, at most the sum of `shares`, by them; the largest remainders get what is left. No part is larger
/// than its share.
pub(crate) fn spread(amount: i64, shares: &[i64]) -> Vec<i64> {
    let sum: i128 = shares.iter().map(|share| i128::from(*share)).sum();
    if sum == 0 {
        return vec![0; shares.len()];
    }
    let exact = |share: i64| i128::from(amount) * i128::from(share);
    let mut parts: Vec<i64> = shares
        .iter()
        .map(|share| i64::try_from(exact(*share) / sum).expect("a part is no more than its share"))
        .collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(exact(shares[*index]) % sum), *index));
    let left = amount - parts.iter().sum::<i64>();
    // Fewer than there are lines with a remainder, so each gets one at most.
    for index in order.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        parts[index] += 1;
    }
    parts
}

/// Of every so many eligible units so many are free, the cheapest of all. None when there are too few.
fn free_units(offer: &Offer, lines: &[Line]) -> Option<Vec<i64>> {
    let rules = &offer.rules;
    let eligible = |line: &Line| rules.apply_to(line.product_id, line.variant_id);
    let units: i64 =
        lines.iter().filter(|line| eligible(line)).map(|line| i64::from(line.quantity.max(0))).sum();
    let groups = units.checked_div(i64::from(rules.buy_quantity))?;
    let mut free = groups * i64::from(rules.free_quantity);
    if free <= 0 {
        return None;
    }
    let mut cheapest: Vec<usize> = (0..lines.len()).filter(|index| eligible(&lines[*index])).collect();
    cheapest.sort_by_key(|index| (lines[*index].unit_amount, *index));
    let mut discounts = vec![0; lines.len()];
    for index in cheapest {
        let taken = free.min(i64::from(lines[index].quantity.max(0)));
        discounts[index] = taken * lines[index].unit_amount.max(0);
        free -= taken;
    }
    Some(discounts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::coupon::Rules;
    use crate::domain::tax::HOME;

    fn line(variant_id: i64, quantity: i32, unit_amount: i64) -> Line {
        Line { variant_id, product_id: variant_id * 10, quantity, unit_amount }
    }

    fn offer(kind: Kind, value: i64, rules: Rules) -> Offer {
        Offer::parse(kind, value, rules).unwrap()
    }

    fn bxgy(buy_quantity: i32, free_quantity: i32) -> Offer {
        offer(Kind::BuyXGetY, 0, Rules { buy_quantity, free_quantity, ..Rules::default() })
    }

    #[test]
    fn a_percentage_is_rounded_down_and_capped() {
        let ten = offer(Kind::Percent, 1_000, Rules::default());
        let priced = price(&[line(1, 1, 999), line(2, 1, 1)], Some(&ten), 500, HOME);
        assert_eq!((priced.items, priced.discount, priced.shipping, priced.total), (1_000, 100, 500, 1_400));
        assert_eq!(price(&[line(1, 1, 999)], Some(&ten), 0, HOME).discount, 99);
        let capped = offer(Kind::Percent, 1_000, Rules { max_discount_amount: Some(30), ..Rules::default() });
        assert_eq!(price(&[line(1, 1, 999)], Some(&capped), 0, HOME).discount, 30);
    }

    #[test]
    fn a_fixed_amount_takes_no_more_than_there_is() {
        let fixed = offer(Kind::Fixed, 5_000, Rules::default());
        let priced = price(&[line(1, 3, 1_000)], Some(&fixed), 700, HOME);
        assert_eq!((priced.discount, priced.total), (3_000, 700));
    }

    #[test]
    fn free_shipping_is_no_discount_on_items() {
        let free = offer(Kind::FreeShipping, 0, Rules::default());
        let priced = price(&[line(1, 1, 1_000)], Some(&free), 700, HOME);
        assert_eq!((priced.discount, priced.shipping, priced.given, priced.total), (0, 0, 700, 1_000));
    }

    #[test]
    fn the_cheapest_of_what_is_bought_are_free() {
        let three_for_two = bxgy(3, 1);
        let lines = [line(1, 4, 3_000), line(2, 2, 1_000)];
        // Six units, two of them free: both cheap ones.
        let priced = price(&lines, Some(&three_for_two), 0, HOME);
        assert_eq!(priced.lines.iter().map(|line| line.discount).collect::<Vec<_>>(), [0, 2_000]);
        let too_few = price(&[line(1, 2, 3_000)], Some(&three_for_two), 0, HOME);
        assert_eq!(too_few.not_applicable, Some(NotApplicable::TooFewUnits));
        assert_eq!(too_few.discount, 0);
    }

    #[test]
    fn a_coupon_is_for_its_goods_and_from_its_minimum() {
        let rules = Rules { variant_ids: vec![2], min_items_amount: Some(1_500), ..Rules::default() };
        let half = offer(Kind::Percent, 5_000, rules);
        let lines = [line(1, 1, 1_000), line(2, 1, 600)];
        let priced = price(&lines, Some(&half), 0, HOME);
        assert_eq!(priced.lines.iter().map(|line| line.discount).collect::<Vec<_>>(), [0, 300]);
        let below = price(&lines[1..], Some(&half), 0, HOME);
        assert_eq!(below.not_applicable, Some(NotApplicable::BelowMinimum));
        let other = price(&[line(1, 2, 1_000)], Some(&half), 0, HOME);
        assert_eq!(other.not_applicable, Some(NotApplicable::NoEligibleItems));
    }

    #[test]
    fn an_empty_cart_costs_nothing() {
        let priced = price(&[], Some(&bxgy(2, 1)), 0, HOME);
        assert_eq!((priced.items, priced.total, priced.tax()), (0, 0, 0));
    }

    fn offers() -> impl Strategy<Value = Option<Offer>> {
        let targets = || proptest::collection::vec(1..8_i64, 0..3);
        let rules = || {
            (targets(), proptest::option::of(1..50_000_i64), proptest::option::of(1..5_000_i64)).prop_map(
                |(variant_ids, min_items_amount, max_discount_amount)| Rules {
                    variant_ids,
                    min_items_amount,
                    max_discount_amount,
                    ..Rules::default()
                },
            )
        };
        let uncapped = |rules: Rules| Rules { max_discount_amount: None, ..rules };
        prop_oneof![
            Just(None),
            (1..=10_000_i64, rules()).prop_map(|(value, rules)| Some(offer(Kind::Percent, value, rules))),
            (1..100_000_i64, rules()).prop_map(move |(value, rules)| Some(offer(
                Kind::Fixed,
                value,
                uncapped(rules)
            ))),
            rules().prop_map(move |rules| Some(offer(Kind::FreeShipping, 0, uncapped(rules)))),
            (2..20_i32, 1..19_i32, rules()).prop_filter_map("free is less", move |(buy, free, rules)| {
                let rules = Rules { buy_quantity: buy, free_quantity: free, ..uncapped(rules) };
                (free < buy).then(|| Some(offer(Kind::BuyXGetY, 0, rules)))
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn everything_adds_up_and_nothing_is_negative(
            goods in proptest::collection::vec((1..8_i64, 1..=99_i32, 0..20_000_i64), 0..12),
            offer in offers(),
            shipping in 0..10_000_i64,
        ) {
            let lines: Vec<Line> =
                goods.into_iter().map(|(id, quantity, amount)| line(id, quantity, amount)).collect();
            let priced = price(&lines, offer.as_ref(), shipping, HOME);
            prop_assert_eq!(priced.lines.len(), lines.len());
            for (line, priced) in lines.iter().zip(&priced.lines) {
                prop_assert_eq!(priced.amount, line.unit_amount * i64::from(line.quantity));
                prop_assert_eq!(priced.total, priced.amount - priced.discount);
                prop_assert!(priced.discount >= 0 && priced.total >= 0);
            }
            prop_assert_eq!(priced.items, priced.lines.iter().map(|line| line.amount).sum::<i64>());
            prop_assert_eq!(priced.discount, priced.lines.iter().map(|line| line.discount).sum::<i64>());
            prop_assert_eq!(priced.total, priced.items - priced.discount + priced.shipping);
            prop_assert!(priced.discount <= priced.items && priced.total >= 0);
            prop_assert!(priced.tax() >= 0 && priced.tax() <= priced.total);
            prop_assert!(priced.shipping == shipping || priced.shipping == 0);
            if let Some(offer) = &offer {
                let confined = lines.iter().zip(&priced.lines).all(|(line, priced)| {
                    priced.discount == 0 || offer.rules.apply_to(line.product_id, line.variant_id)
                });
                prop_assert!(confined, "goods that the coupon is not for were discounted");
                let most = match offer.kind {
                    Kind::Percent => {
                        (priced.items * offer.value / 10_000)
                            .min(offer.rules.max_discount_amount.unwrap_or(i64::MAX))
                    }
                    Kind::Fixed => offer.value,
                    Kind::FreeShipping => 0,
                    Kind::BuyXGetY => priced.items * i64::from(offer.rules.free_quantity)
                        / i64::from(offer.rules.buy_quantity),
                };
                prop_assert!(priced.discount <= most);
            } else {
                prop_assert_eq!(priced.given, 0);
            }
        }

        #[test]
        fn a_spread_amount_is_all_there(
            shares in proptest::collection::vec(0..1_000_000_i64, 1..50), parts in 0..=1_000_u32,
        ) {
            let sum = shares.iter().sum::<i64>();
            let amount = sum * i64::from(parts) / 1_000;
            let spread = spread(amount, &shares);
            prop_assert_eq!(spread.iter().sum::<i64>(), amount);
            prop_assert!(spread.iter().zip(&shares).all(|(part, share)| (0..=*share).contains(part)));
        }
    }
}
