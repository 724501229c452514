//! What an order is to those who handle it: its id, its statuses, and units of its lines.

use super::{Invalid, OrderId};

/// Lines that one order may have: as many as a cart.
const LINES_MAX: usize = 50;
const REASON_CHARS_MAX: usize = 500;
const NOTE_CHARS_MAX: usize = 4_000;
const LABEL_CHARS_MAX: usize = 60;

impl OrderId {
    /// An id that the database gave.
    pub(crate) fn known(id: i64) -> Self {
        Self(id)
    }
}

impl std::fmt::Display for OrderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an order is on its way. Which steps there are is for the database to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    PendingPayment,
    Paid,
    Processing,
    Shipped,
    Delivered,
    Cancelled,
    PaymentFailed,
    Expired,
    ReturnRequested,
    Returned,
    Refunded,
    PartiallyRefunded,
}

impl Status {
    const ALL: [Self; 12] = [
        Self::PendingPayment,
        Self::Paid,
        Self::Processing,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
        Self::PaymentFailed,
        Self::Expired,
        Self::ReturnRequested,
        Self::Returned,
        Self::Refunded,
        Self::PartiallyRefunded,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PendingPayment => "pending_payment",
            Self::Paid => "paid",
            Self::Processing => "processing",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::PaymentFailed => "payment_failed",
            Self::Expired => "expired",
            Self::ReturnRequested => "return_requested",
            Self::Returned => "returned",
            Self::Refunded => "refunded",
            Self::PartiallyRefunded => "partially_refunded",
        }
    }

    pub(crate) fn parse(field: &str, word: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            Invalid::value(field, format!("must be one of {words}"))
        })
    }

    /// A status that the database holds.
    pub(crate) fn stored(word: &str) -> Self {
        Self::parse("status", word).expect("a foreign key keeps statuses to those of the table")
    }

    /// Whether nobody has paid yet and somebody still may.
    pub(crate) fn is_unpaid(self) -> bool {
        matches!(self, Self::PendingPayment | Self::PaymentFailed)
    }

    /// Whether it is paid and goods are still here.
    pub(crate) fn is_unshipped(self) -> bool {
        matches!(self, Self::Paid | Self::Processing)
    }
}

/// Who moves an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mover {
    Customer,
    Staff,
    /// Money came, or did not.
    Provider,
    System,
}

impl Mover {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::Provider => "provider",
            Self::System => "system",
        }
    }
}

/// Some units of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    pub(crate) line: i32,
    pub(crate) quantity: i32,
    pub(crate) reason: Option<String>,
}

impl Units {
    /// Lines by ascending number, each once, at least one unit each.
    pub(crate) fn parse_all(
        lines: impl ExactSizeIterator<Item = (i32, i32, Option<String>)>,
    ) -> Result<Vec<Self>, Invalid> {
        if lines.len() > LINES_MAX {
            return Err(Invalid::value("lines", format!("must be at most {LINES_MAX}")));
        }
        let mut parsed = Vec::with_capacity(lines.len());
        for (index, (line, quantity, words)) in lines.enumerate() {
            if line < 1 {
                return Err(Invalid::value(format!("lines[{index}].line"), "must be at least 1"));
            }
            if quantity < 1 {
                return Err(Invalid::value(format!("lines[{index}].quantity"), "must be at least 1"));
            }
            let reason = reason(&format!("lines[{index}].reason"), words)?;
            parsed.push(Self { line, quantity, reason });
        }
        parsed.sort_by_key(|units| units.line);
        if parsed.windows(2).any(|pair| pair[0].line == pair[1].line) {
            return Err(Invalid::value("lines", "must name each line once"));
        }
        Ok(parsed)
    }
}

/// A user's id.
pub(crate) fn user(field: &str, id: i64) -> Result<i64, Invalid> {
    if id > 0 { Ok(id) } else { Err(Invalid::value(field, "must be a positive integer")) }
}

/// Why somebody does something to an order: at most 500 characters; nothing at all is no reason.
pub(crate) fn reason(field: &str, words: Option<String>) -> Result<Option<String>, Invalid> {
    let Some(words) = words else { return Ok(None) };
    let words = prose(field, &words, REASON_CHARS_MAX)?;
    Ok((!words.is_empty()).then_some(words))
}

/// A carrier, one of its services, or a tracking code: 1 to 60 characters on one line.
pub(crate) fn label(field: &str, words: &str) -> Result<String, Invalid> {
    let words = prose(field, words, LABEL_CHARS_MAX)?;
    if words.is_empty() || words.contains('\n') {
        return Err(Invalid::value(field, "must be one line, not empty"));
    }
    Ok(words)
}

/// What staff write down about an order: 1 to 4,000 characters.
pub(crate) fn note(field: &str, body: &str) -> Result<String, Invalid> {
    let body = prose(field, body, NOTE_CHARS_MAX)?;
    if body.is_empty() { Err(Invalid::value(field, "must not be empty")) } else { Ok(body) }
}

fn prose(field: &str, words: &str, chars_max: usize) -> Result<String, Invalid> {
    let words = words.trim();
    if words.chars().count() > chars_max {
        return Err(Invalid::value(field, format!("must be at most {chars_max} characters")));
    }
    if words.chars().any(|char| char.is_control() && char != '\n') {
        return Err(Invalid::value(field, "must not contain control characters"));
    }
    Ok(words.to_owned())
}

/// What `units` of a line of `quantity` that cost `total` are worth, when `before` units are gone already.
///
/// Minor units; all shares of a line add up to its total.
pub(crate) fn share(total: i64, quantity: i32, before: i32, units: i32) -> i64 {
    let up_to = |count: i32| total * i64::from(count) / i64::from(quantity);
    up_to(before + units) - up_to(before)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_of_a_line_add_up(total in 0..10_000_000_i64, parts in proptest::collection::vec(1..9_i32, 1..11)) {
            let quantity = parts.iter().sum();
            let mut before = 0;
            let mut sum = 0;
            for units in parts {
                let share = share(total, quantity, before, units);
                prop_assert!(share >= 0);
                sum += share;
                before += units;
            }
            prop_assert_eq!(sum, total);
        }
    }

    #[test]
    fn statuses_are_the_words_of_the_contract() {
        for status in Status::ALL {
            assert_eq!(Status::parse("status", status.as_str()).unwrap(), status);
        }
        assert!(Status::parse("status", "lost").is_err());
    }

    #[test]
    fn lines_are_named_once_and_hold_something() {
        let parse = |lines: &[(i32, i32)]| {
            Units::parse_all(
                lines.iter().map(|&(line, quantity)| (line, quantity, None)).collect::<Vec<_>>().into_iter(),
            )
        };
        let sorted = parse(&[(2, 1), (1, 3)]).unwrap();
        assert_eq!(
            sorted.iter().map(|units| (units.line, units.quantity)).collect::<Vec<_>>(),
            [(1, 3), (2, 1)]
        );
        for (lines, field) in [
            (&[(0, 1)][..], "lines[0].line"),
            (&[(1, 1), (2, 0)], "lines[1].quantity"),
            (&[(1, i32::MIN)], "lines[0].quantity"),
            (&[(1, 1), (1, 2)], "lines"),
            (&[(1, 1); 51], "lines"),
        ] {
            assert_eq!(parse(lines).unwrap_err().field.as_str(), field, "{lines:?}");
        }
    }

    #[test]
    fn words_are_bounded() {
        assert_eq!(reason("reason", Some("  ".into())).unwrap(), None);
        assert_eq!(reason("reason", Some(" x ".into())).unwrap(), Some("x".into()));
        assert!(reason("reason", Some("é".repeat(500))).is_ok());
        assert!(reason("reason", Some("é".repeat(501))).is_err());
        assert!(reason("reason", Some("a\u{7}b".into())).is_err());
        assert!(note("body", "").is_err());
    }
}
