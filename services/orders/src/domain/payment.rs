//! Payments as the shop sees them: methods, states, and which state may follow which.

/// How a buyer pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Authorised first, captured when the goods are taken out of stock.
    Card,
    /// Paid by QR code within its time; nothing can be held back.
    Pix,
}

impl Method {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Pix => "pix",
        }
    }

    /// The method of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Card, Self::Pix].into_iter().find(|method| method.as_str() == name)
    }
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Written down; the provider may not have heard of it yet.
    Created,
    /// Asked, and the answer proves nothing.
    Unknown,
    /// The provider works on it.
    Processing,
    /// The buyer has to do something: confirm at the bank, scan the code.
    RequiresAction,
    /// The money is promised.
    RequiresCapture,
    /// No money came of it; another attempt may be made.
    Failed,
    /// Given up; another attempt may be made.
    Canceled,
    /// The money is ours.
    Succeeded,
}

impl Status {
    const ALL: [Self; 8] = [
        Self::Created,
        Self::Unknown,
        Self::Processing,
        Self::RequiresAction,
        Self::RequiresCapture,
        Self::Failed,
        Self::Canceled,
        Self::Succeeded,
    ];

    /// As the table holds it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unknown => "unknown",
            Self::Processing => "processing",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Succeeded => "succeeded",
        }
    }

    /// The status of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// A payment only moves to a higher rank, so that news may come twice and in any order.
    pub(crate) fn rank(self) -> i16 {
        match self {
            Self::Created => 0,
            Self::Unknown => 1,
            Self::Processing => 2,
            Self::RequiresAction => 3,
            Self::RequiresCapture => 5,
            Self::Failed | Self::Canceled => 9,
            Self::Succeeded => 10,
        }
    }

    /// Whether nothing more is expected of it.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::Failed | Self::Canceled | Self::Succeeded => true,
            Self::Created
            | Self::Unknown
            | Self::Processing
            | Self::RequiresAction
            | Self::RequiresCapture => false,
        }
    }

    /// The verb of the event that tells of it.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::RequiresCapture => "authorized",
            Self::Succeeded => "captured",
            other => other.as_str(),
        }
    }
}

/// Why an attempt brought no money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// As the provider names it, such as `insufficient_funds`.
    pub(crate) code: String,
    /// Whether another attempt, with another card, may succeed.
    pub(crate) retryable: bool,
}

/// Codes that a thief should not learn: the buyer reads that the card was declined, and no more.
const CONFIDENTIAL: [&str; 6] =
    ["fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "restricted_card", "stolen_card"];

impl Failure {
    /// What a provider's code means for the buyer.
    pub(crate) fn declined(code: &str) -> Self {
        if CONFIDENTIAL.contains(&code) {
            return Self { code: "generic_decline".to_owned(), retryable: false };
        }
        let known = !code.is_empty() && code.len() <= 60;
        let known = known && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        Self { code: if known { code } else { "generic_decline" }.to_owned(), retryable: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::named(status.as_str()), Some(status));
        }
        assert_eq!(Status::named("paid"), None);
        assert_eq!([Method::named("card"), Method::named("boleto")], [Some(Method::Card), None]);
    }

    #[test]
    fn what_is_final_outranks_what_is_not_and_money_outranks_all() {
        for status in Status::ALL {
            assert_eq!(status.is_final(), status.rank() >= 9, "{status:?}");
            assert!(status.rank() <= Status::Succeeded.rank());
        }
    }

    #[test]
    fn a_thief_learns_nothing() {
        #[track_caller]
        fn check(code: &str, shown: &str, retryable: bool) {
            assert_eq!(Failure::declined(code), Failure { code: shown.to_owned(), retryable });
        }
        check("insufficient_funds", "insufficient_funds", true);
        check("stolen_card", "generic_decline", false);
        check("", "generic_decline", true);
        check("<script>", "generic_decline", true);
    }
}
