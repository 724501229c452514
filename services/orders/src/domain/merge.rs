//! A guest's cart going into a user's.
//!
//! Nothing is lost without being named: each variant of either cart is in the result, or in the report. A cart that
//! holds as much as any cart may takes no new variants.

use std::collections::{BTreeMap, BTreeSet};

use super::cart::{MERGED_LINES_MAX, UNITS_MAX};
use super::words;

words! {
    /// Which of two quantities of the same variant is kept.
    Strategy {
        /// Both together, at most what a line may hold.
        Sum = "sum",
        /// The larger one.
        Max = "max",
        /// The guest's cart replaces the customer's.
        Guest = "guest",
        /// The customer's cart stays as it is.
        Customer = "customer",
    } else "must be sum, max, guest or customer"
}

impl Strategy {
    /// Which coupon is in the cart afterwards: of the cart that stays, or whichever there is.
    pub(crate) fn coupon<'a>(self, guest: Option<&'a str>, user: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Sum | Self::Max => user.or(guest),
            Self::Guest => guest,
            Self::Customer => user,
        }
    }
}

/// A line of either cart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) variant_id: i64,
    pub(crate) product_id: i64,
    /// 1 to 99.
    pub(crate) quantity: i32,
    /// The price that was seen.
    pub(crate) seen_unit_amount: i64,
}

/// What the merge did; kept with the cart, for whoever asks again.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Report {
    pub(crate) strategy: String,
    /// Lines of the guest's cart that are in the user's now.
    pub(crate) moved: i32,
    /// Variants whose sum was more than a line may hold, ascending.
    pub(crate) capped: Vec<i64>,
    /// Variants that the strategy left out, or for which the cart had no room, ascending.
    pub(crate) dropped: Vec<i64>,
}

/// What a user's cart is after the merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Lines to be written, ascending by variant: new ones, and those whose quantity is another now.
    pub(crate) changed: Vec<Line>,
    /// Variants to be taken out.
    pub(crate) removed: Vec<i64>,
    pub(crate) report: Report,
}

/// Merges the guest's lines into the user's. Each cart holds a variant once.
pub(crate) fn merge(strategy: Strategy, guest: &[Line], user: &[Line]) -> Merged {
    let before: BTreeMap<i64, Line> = user.iter().map(|line| (line.variant_id, *line)).collect();
    let mut changed = BTreeMap::new();
    let (mut moved, mut capped, mut dropped) = (0, BTreeSet::new(), BTreeSet::new());
    // The guest's lines take the place of the customer's, or come beside them.
    let held = if strategy == Strategy::Guest { 0 } else { user.len() };
    let mut room = MERGED_LINES_MAX.saturating_sub(held);
    for line in guest {
        let old = before.get(&line.variant_id);
        let quantity = match (strategy, old) {
            (Strategy::Customer, _) => {
                if old.is_none_or(|old| old.quantity < line.quantity) {
                    dropped.insert(line.variant_id);
                }
                continue;
            }
            (Strategy::Guest, _) | (_, None) => line.quantity,
            (Strategy::Sum, Some(old)) => {
                let sum = old.quantity + line.quantity;
                if sum > UNITS_MAX {
                    capped.insert(line.variant_id);
                }
                sum.min(UNITS_MAX)
            }
            (Strategy::Max, Some(old)) => old.quantity.max(line.quantity),
        };
        if old.is_none() || strategy == Strategy::Guest {
            let Some(left) = room.checked_sub(1) else {
                dropped.insert(line.variant_id);
                continue;
            };
            room = left;
        }
        moved += 1;
        if old.is_none_or(|old| old.quantity != quantity) {
            changed.insert(line.variant_id, Line { quantity, ..*line });
        }
    }
    let mut removed = Vec::new();
    if strategy == Strategy::Guest {
        let kept: BTreeSet<i64> = guest.iter().map(|line| line.variant_id).collect();
        removed.extend(before.keys().filter(|variant| !kept.contains(variant)));
        let fewer = guest
            .iter()
            .filter(|line| before.get(&line.variant_id).is_some_and(|old| old.quantity > line.quantity));
        dropped.extend(removed.iter().copied());
        dropped.extend(fewer.map(|line| line.variant_id));
    }
    Merged {
        changed: changed.into_values().collect(),
        removed,
        report: Report {
            strategy: strategy.as_str().to_owned(),
            moved,
            capped: capped.into_iter().collect(),
            dropped: dropped.into_iter().collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{
        Just, ProptestConfig, Strategy as _, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    use super::*;

    fn cart() -> impl proptest::strategy::Strategy<Value = Vec<Line>> {
        proptest::collection::btree_map(1..12_i64, (1..=99_i32, 1..10_000_i64), 0..10).prop_map(|lines| {
            let line = |(variant_id, (quantity, seen_unit_amount))| Line {
                variant_id,
                product_id: variant_id * 10,
                quantity,
                seen_unit_amount,
            };
            lines.into_iter().map(line).collect::<Vec<_>>()
        })
    }

    fn quantities(lines: &[Line]) -> BTreeMap<i64, i32> {
        lines.iter().map(|line| (line.variant_id, line.quantity)).collect()
    }

    /// The user's cart afterwards.
    fn after(user: &[Line], merged: &Merged) -> BTreeMap<i64, i32> {
        let mut cart = quantities(user);
        cart.retain(|variant, _| !merged.removed.contains(variant));
        cart.extend(quantities(&merged.changed));
        cart
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn no_unit_is_lost_without_being_named(
            guest in cart(),
            user in cart(),
            strategy in prop_oneof![
                Just(Strategy::Sum), Just(Strategy::Max), Just(Strategy::Guest), Just(Strategy::Customer),
            ],
        ) {
            let merged = merge(strategy, &guest, &user);
            let cart = after(&user, &merged);
            let (guests, users) = (quantities(&guest), quantities(&user));
            prop_assert!(cart.values().all(|quantity| (1..=99).contains(quantity)));
            for variant in guests.keys().chain(users.keys()) {
                let (of_guest, of_user) =
                    (guests.get(variant).copied().unwrap_or(0), users.get(variant).copied().unwrap_or(0));
                let kept = cart.get(variant).copied().unwrap_or(0);
                let expected = match strategy {
                    Strategy::Sum => (of_guest + of_user).min(99),
                    Strategy::Max => of_guest.max(of_user),
                    Strategy::Guest => of_guest,
                    Strategy::Customer => of_user,
                };
                prop_assert_eq!(kept, expected, "variant {}", variant);
                let named =
                    merged.report.capped.contains(variant) || merged.report.dropped.contains(variant);
                let most = of_guest.max(of_user);
                let lost = match strategy {
                    Strategy::Sum => kept < of_guest + of_user,
                    Strategy::Max | Strategy::Guest | Strategy::Customer => kept < most,
                };
                prop_assert_eq!(lost, named, "variant {}: {:?}", variant, merged.report);
            }
            // Nothing came from nowhere.
            prop_assert!(cart.keys().all(|variant| guests.contains_key(variant) || users.contains_key(variant)));
            let moved = if strategy == Strategy::Customer { 0 } else { guest.len() };
            prop_assert_eq!(merged.report.moved, i32::try_from(moved).unwrap());
        }

        #[test]
        fn merging_nothing_changes_nothing(user in cart()) {
            for strategy in [Strategy::Sum, Strategy::Max, Strategy::Customer] {
                let merged = merge(strategy, &[], &user);
                prop_assert!(merged.changed.is_empty() && merged.removed.is_empty());
            }
        }
    }

    #[test]
    fn a_cart_does_not_grow_without_bound() {
        let lines = |ids: std::ops::Range<i64>| -> Vec<Line> {
            ids.map(|variant_id| Line { variant_id, product_id: 1, quantity: 1, seen_unit_amount: 1 })
                .collect()
        };
        let (guest, user) = (lines(180..230), lines(0..190));
        for strategy in [Strategy::Sum, Strategy::Max] {
            let merged = merge(strategy, &guest, &user);
            assert_eq!(after(&user, &merged).len(), MERGED_LINES_MAX);
            assert_eq!(merged.report.dropped, (200..230).collect::<Vec<i64>>());
            assert_eq!(merged.report.moved, 20);
        }
        assert_eq!(after(&user, &merge(Strategy::Guest, &guest, &user)).len(), 50);
    }

    #[test]
    fn a_report_names_what_was_capped_and_dropped() {
        let line = |variant_id, quantity| Line { variant_id, product_id: 1, quantity, seen_unit_amount: 100 };
        let (guest, user) = ([line(1, 60), line(2, 1)], [line(1, 60), line(3, 5)]);
        let sum = merge(Strategy::Sum, &guest, &user);
        assert_eq!((sum.report.moved, &*sum.report.capped, &*sum.report.dropped), (2, &[1][..], &[][..]));
        let replaced = merge(Strategy::Guest, &guest, &user);
        assert_eq!((replaced.removed.as_slice(), &*replaced.report.dropped), (&[3][..], &[3][..]));
        let kept = merge(Strategy::Customer, &guest, &user);
        assert_eq!((kept.report.moved, &*kept.report.dropped), (0, &[2][..]));
    }
}
