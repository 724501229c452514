//! What a caller of the shop can act on, and what we must repair.

use rls::DatabaseError;
use sqlx::postgres::PgDatabaseError;

use crate::domain::Invalid;

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An input breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such thing, or it is somebody else's: the same answer.
    #[error("no such {}", .0.noun())]
    NotFound(Missing),
    /// Something changed since the caller looked.
    #[error("expected version {expected}, current version {current}")]
    StaleVersion { expected: i64, current: i64 },
    /// It cannot be done to what there is now.
    #[error("{}", .0.detail())]
    Conflict(Conflict),
    /// Some lines of what was asked cannot be done; nothing was.
    #[error("{}", .0.detail())]
    Lines(Conflict, Vec<LineProblem>),
    /// The caller has enough of it already.
    #[error("{}", .0.detail())]
    Exhausted(Exhausted),
    /// The bank said no.
    #[error("the payment was declined: {code}")]
    Declined {
        /// The provider's word, such as `insufficient_funds`.
        code: String,
        /// Whether another card may succeed.
        retryable: Retry,
        /// What the attempt made stale all the same; none in what is kept for repeats.
        receipts: Vec<rls::Receipt>,
    },
    /// Somebody whom this needs does not answer. Nothing was done.
    #[error("{} is away", .0.noun())]
    Away(Away),
    /// The assertion proves nobody.
    #[error("the caller is not authenticated")]
    Unauthenticated(#[from] rls::Unauthenticated),
    /// Nobody said who they are.
    #[error("this needs a visitor with a token or a signed-in user")]
    Anonymous,
    /// The call is for somebody of another kind.
    #[error("this is not for this caller")]
    Forbidden,
    /// More is asked for than can be done in time. Nothing was done.
    #[error("too many are being served")]
    Overloaded,
    /// The process ends; ask another one.
    #[error("the service is going down")]
    Draining,
    /// The database did not do it, or did not say.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A repeat of a request that is under way, was another, or was refused.
    #[error(transparent)]
    Repeat(#[from] idempotency::Refused),
    /// A test stopped the work here.
    #[error(transparent)]
    Injected(#[from] failpoints::Injected),
}

/// What was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    CartItem,
    Coupon,
    Order,
    Payment,
}

impl Missing {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::CartItem => "cart item",
            Self::Coupon => "coupon",
            Self::Order => "order",
            Self::Payment => "payment",
        }
    }

    /// The word that programs compare.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::CartItem => "cart_item_not_found",
            Self::Coupon => "coupon_not_found",
            Self::Order => "order_not_found",
            Self::Payment => "payment_not_found",
        }
    }
}

/// Whether another attempt with something else may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Possible,
    Pointless,
}

/// Reasons with a word for programs and one for people.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $reason:literal, $detail:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The word that programs compare.
            pub(crate) fn reason(self) -> &'static str {
                match self {
                    $(Self::$variant => $reason),+
                }
            }

            /// The same for people.
            pub(crate) fn detail(self) -> &'static str {
                match self {
                    $(Self::$variant => $detail),+
                }
            }
        }
    };
}

reasons! {
    /// What stands in the way, in the state things are in.
    Conflict {
        CartLocked = "cart_locked", "the cart is being checked out";
        CartFull = "cart_full", "the cart holds as many lines as a cart may";
        /// Two of somebody's first steps at once: worth another try at once.
        CartTwice = "cart_conflict", "the cart was made by another request just now";
        CheckoutExpired = "checkout_expired", "the checkout or one of its quotes has expired";
        CouponCustomerLimit = "coupon_exhausted", "the coupon was used as often as one customer may";
        CouponExhausted = "coupon_exhausted", "the coupon is used up or over";
        CouponTaken = "coupon_taken", "there is a coupon with that code";
        IllegalTransition = "illegal_transition", "the order cannot take that step now";
        OutOfStock = "out_of_stock", "there is not so much left";
        PaymentInFlight = "payment_in_flight", "another payment of this order is not settled yet";
        PriceChanged = "price_changed", "the price is not what was shown";
        StockChanged = "stock_conflict", "the stock is not as it was seen, or does not allow this";
        TrackingTaken = "tracking_taken", "another shipment has that tracking code";
        Unavailable = "unavailable", "some of it cannot be bought any more";
    }
}

reasons! {
    /// What a caller may not have more of.
    Exhausted {
        UnpaidOrders = "too_many_unpaid_orders", "pay or cancel an order first";
        Streams = "too_many_streams", "the order is watched often enough, or this process has no place left";
    }
}

/// Who does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    Catalog,
    Payments,
}

impl Away {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Catalog => "the catalog",
            Self::Payments => "the payment provider",
        }
    }

    /// The word that programs compare.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Catalog => "catalog_unavailable",
            Self::Payments => "payments_unavailable",
        }
    }
}

/// One line to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineProblem {
    /// Place in what was asked, from 0; -1 when the place is not known.
    pub(crate) index: i32,
    pub(crate) variant_id: i64,
    /// `out_of_stock`, `price_changed`, `unavailable`, `stock_changed`, …
    pub(crate) code: &'static str,
    /// What is left or there, where that is the trouble.
    pub(crate) available: i64,
    /// The price now, where that is the trouble.
    pub(crate) unit_amount: i64,
}

/// A named constraint is a rule with a name; so are the codes that our functions raise.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        rule(&error).unwrap_or_else(|| Self::Database(DatabaseError::from(error)))
    }
}

/// The rule that a statement broke, when it is one that a caller can act on.
fn rule(error: &sqlx::Error) -> Option<Error> {
    let refusal = error.as_database_error()?;
    match refusal.code().as_deref() {
        Some("MC409") => {
            let refusal = refusal.try_downcast_ref::<PgDatabaseError>()?;
            return Some(Error::Lines(Conflict::OutOfStock, short(refusal.detail()?, refusal.hint()?)?));
        }
        Some("MC410") => {
            return Some(Error::Conflict(match refusal.message() {
                "coupon_customer_limit" => Conflict::CouponCustomerLimit,
                _ => Conflict::CouponExhausted,
            }));
        }
        _ => {}
    }
    Some(match refusal.constraint()? {
        "line_quantity" => Error::line_quantity(),
        "one_active_cart_of_user" | "one_active_cart_of_guest" => Error::Conflict(Conflict::CartTwice),
        "never_oversell" => Error::Conflict(Conflict::OutOfStock),
        "illegal_transition" => Error::Conflict(Conflict::IllegalTransition),
        "never_over_redeem" => Error::Conflict(Conflict::CouponExhausted),
        "coupons_pkey" => Error::Conflict(Conflict::CouponTaken),
        "one_live_payment" => Error::Conflict(Conflict::PaymentInFlight),
        "tracking_taken" => Error::Conflict(Conflict::TrackingTaken),
        _ => return None,
    })
}

/// Every short line, as `orders.reserve` names them: variants, and what is left of each.
fn short(variants: &str, left: &str) -> Option<Vec<LineProblem>> {
    let line = |(variant, left): (&str, &str)| {
        Some(LineProblem {
            index: -1,
            variant_id: variant.parse().ok()?,
            code: Conflict::OutOfStock.reason(),
            available: left.parse().ok()?,
            unit_amount: 0,
        })
    };
    variants.split(',').zip(left.split(',')).map(line).collect()
}

impl Error {
    /// A line would hold none, or more than a line may.
    pub(crate) fn line_quantity() -> Self {
        Self::Invalid(Invalid::because("line_quantity", "quantity", "a line holds 1 to 99"))
    }

    /// No state has such a postal code.
    pub(crate) fn unknown_cep() -> Self {
        Self::Invalid(Invalid::because("cep_not_found", "cep", "is in no state's range of postal codes"))
    }

    /// The catalog knows no such variant, or does not sell it.
    pub(crate) fn unknown_variant(field: &str) -> Self {
        Self::Invalid(Invalid::because("variant_not_found", field, "there is no such variant for sale"))
    }
}
