//! Coupons: what they give, to what, and when.

use time::OffsetDateTime;

use super::{Invalid, words};

/// A line holds no more units, so that no rule is about more.
const UNITS_MAX: i32 = 99;
/// All of it, in hundredths of a percent.
const WHOLE: i64 = 10_000;
/// A million reais; more is a mistake of the decimal point.
const AMOUNT_MAX: i64 = 100_000_000;
const CODE_CHARS_MAX: usize = 40;
/// Products or variants that a coupon may be confined to.
const TARGETS_MAX: usize = 500;

words! {
    /// How a coupon's value is meant.
    Kind {
        /// Hundredths of a percent of what it applies to.
        Percent = "percent",
        /// Centavos off what it applies to.
        Fixed = "fixed",
        /// The order is shipped for nothing.
        FreeShipping = "free_shipping",
        /// Of so many units bought, so many are free.
        BuyXGetY = "bxgy",
    } else "must be percent, fixed, free_shipping or bxgy"
}

/// A code as buyers type it; upper and lower case are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Code(String);

impl Code {
    /// 1 to 40 letters, digits, hyphens and underscores. Spaces around it are the typist's.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let code = text.trim();
        let fits = (1..=CODE_CHARS_MAX).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits {
            Ok(Self(code.to_ascii_uppercase()))
        } else {
            Err(Invalid::value(field, "must be 1 to 40 letters, digits, hyphens or underscores"))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a coupon applies to, and its bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Rules {
    /// Of all items, before any discount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_items_amount: Option<i64>,
    /// The most a percentage gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_discount_amount: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) product_ids: Vec<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) variant_ids: Vec<i64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) buy_quantity: i32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) free_quantity: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(quantity: &i32) -> bool {
    *quantity == 0
}

impl Rules {
    /// Whether goods may be discounted: all may when neither products nor variants are named.
    pub(crate) fn apply_to(&self, product_id: i64, variant_id: i64) -> bool {
        (self.product_ids.is_empty() && self.variant_ids.is_empty())
            || self.product_ids.contains(&product_id)
            || self.variant_ids.contains(&variant_id)
    }
}

/// What a coupon gives, whoever uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) kind: Kind,
    pub(crate) value: i64,
    pub(crate) rules: Rules,
}

/// The fields of a coupon that staff may write, all of them valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CouponFields {
    pub(crate) code: Code,
    pub(crate) offer: Offer,
    pub(crate) usage_limit: Option<i32>,
    pub(crate) per_customer_limit: i32,
    pub(crate) starts_at: Option<OffsetDateTime>,
    pub(crate) ends_at: Option<OffsetDateTime>,
    pub(crate) activity: Activity,
}

/// Whether anybody may use a coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Active,
    Inactive,
}

impl Offer {
    /// Accepts what can be computed: a percentage up to 100, amounts up to a million reais, and fewer free units than
    /// bought ones.
    pub(crate) fn parse(kind: Kind, value: i64, rules: Rules) -> Result<Self, Invalid> {
        let value_of = |rule: &str| Invalid::value("value", rule);
        match kind {
            Kind::Percent if !(1..=WHOLE).contains(&value) => {
                return Err(value_of("must be 1 to 10000 hundredths of a percent"));
            }
            Kind::Fixed if !(1..=AMOUNT_MAX).contains(&value) => {
                return Err(value_of("must be 1 to 100000000 centavos"));
            }
            Kind::FreeShipping | Kind::BuyXGetY if value != 0 => {
                return Err(value_of("must be 0 for this kind"));
            }
            Kind::Percent | Kind::Fixed | Kind::FreeShipping | Kind::BuyXGetY => {}
        }
        for (field, amount) in [
            ("rules.min_items_amount", rules.min_items_amount),
            ("rules.max_discount_amount", rules.max_discount_amount),
        ] {
            if amount.is_some_and(|amount| !(1..=AMOUNT_MAX).contains(&amount)) {
                return Err(Invalid::value(field, "must be 1 to 100000000 centavos"));
            }
        }
        if rules.max_discount_amount.is_some() && kind != Kind::Percent {
            return Err(Invalid::value("rules.max_discount_amount", "is for percentages"));
        }
        for (field, ids) in
            [("rules.product_ids", &rules.product_ids), ("rules.variant_ids", &rules.variant_ids)]
        {
            if ids.len() > TARGETS_MAX || ids.iter().any(|id| *id <= 0) {
                return Err(Invalid::value(field, "must be at most 500 positive integers"));
            }
        }
        let (buy, free) = (rules.buy_quantity, rules.free_quantity);
        match kind {
            Kind::BuyXGetY if !(2..=UNITS_MAX).contains(&buy) => {
                Err(Invalid::value("rules.buy_quantity", "must be 2 to 99"))
            }
            Kind::BuyXGetY if !(1..buy).contains(&free) => {
                Err(Invalid::value("rules.free_quantity", "must be at least 1, and less than are bought"))
            }
            Kind::Percent | Kind::Fixed | Kind::FreeShipping if buy != 0 || free != 0 => {
                Err(Invalid::value("rules.buy_quantity", "is for bxgy"))
            }
            Kind::Percent | Kind::Fixed | Kind::FreeShipping | Kind::BuyXGetY => {
                Ok(Self { kind, value, rules })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_do_not_tell_case_apart() {
        assert_eq!(Code::parse("f", " bemvindo10 ").unwrap().as_str(), "BEMVINDO10");
        for wrong in ["", " ", "a b", "ção", "x'--", &"A".repeat(41)] {
            assert_eq!(Code::parse("f", wrong).unwrap_err().field, "f", "{wrong}");
        }
    }

    #[test]
    fn an_offer_can_be_computed() {
        #[track_caller]
        fn refused(kind: Kind, value: i64, rules: Rules, field: &str) {
            assert_eq!(Offer::parse(kind, value, rules).unwrap_err().field, field);
        }
        let none = Rules::default;
        let bxgy = |buy_quantity, free_quantity| Rules { buy_quantity, free_quantity, ..Rules::default() };
        assert!(Offer::parse(Kind::Percent, 1_000, none()).is_ok());
        assert!(Offer::parse(Kind::Fixed, 1, none()).is_ok());
        assert!(Offer::parse(Kind::FreeShipping, 0, none()).is_ok());
        assert!(Offer::parse(Kind::BuyXGetY, 0, bxgy(3, 1)).is_ok());
        refused(Kind::Percent, 0, none(), "value");
        refused(Kind::Percent, 10_001, none(), "value");
        refused(Kind::Fixed, 0, none(), "value");
        refused(Kind::Fixed, i64::MAX, none(), "value");
        refused(Kind::FreeShipping, 1, none(), "value");
        refused(Kind::BuyXGetY, 0, bxgy(1, 1), "rules.buy_quantity");
        refused(Kind::BuyXGetY, 0, bxgy(3, 3), "rules.free_quantity");
        refused(Kind::BuyXGetY, 0, bxgy(3, 0), "rules.free_quantity");
        refused(Kind::Percent, 1, bxgy(3, 1), "rules.buy_quantity");
        let cap = Rules { max_discount_amount: Some(100), ..none() };
        refused(Kind::Fixed, 1, cap, "rules.max_discount_amount");
        refused(Kind::Fixed, 1, Rules { product_ids: vec![0], ..none() }, "rules.product_ids");
        refused(Kind::Fixed, 1, Rules { min_items_amount: Some(-1), ..none() }, "rules.min_items_amount");
    }

    #[test]
    fn rules_name_goods_or_mean_all() {
        let all = Rules::default();
        let some = Rules { product_ids: vec![7], variant_ids: vec![31], ..Rules::default() };
        assert!(all.apply_to(1, 1));
        assert!(some.apply_to(7, 1) && some.apply_to(1, 31) && !some.apply_to(1, 1));
    }
}
