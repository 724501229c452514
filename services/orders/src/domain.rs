//! What the shop's words mean: types and rules, no storage, no clock, no transport.

pub(crate) mod cart;
pub(crate) mod cep;
pub(crate) mod checkout;
pub(crate) mod coupon;
pub(crate) mod cursor;
pub(crate) mod merge;
pub(crate) mod order;
pub(crate) mod order_token;
pub(crate) mod page;
pub(crate) mod payment;
pub(crate) mod pricing;
pub(crate) mod shipping;
pub(crate) mod stock;
pub(crate) mod tax;

/// An input that breaks a rule: which field, which rule, and the rule in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub(crate) struct Invalid {
    /// As the contract names it: `shipping_address.city`.
    pub(crate) field: String,
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

impl Invalid {
    /// The common refusal: the value is not one that the field may have.
    pub(crate) fn value(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::because("invalid_value", field, detail)
    }

    /// A refusal that callers tell apart by its reason.
    pub(crate) fn because(reason: &'static str, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), reason, detail: detail.into() }
    }
}

/// Types of ids, one per kind of thing, so that none is taken for another.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub(crate) struct $name(i64);

            impl $name {
                /// Ids start at 1.
                pub(crate) fn parse(field: &str, id: i64) -> Result<Self, Invalid> {
                    if id > 0 { Ok(Self(id)) } else { Err(Invalid::value(field, "must be a positive integer")) }
                }

                pub(crate) fn get(self) -> i64 {
                    self.0
                }
            }
        )+
    };
}

ids! {
    /// Identifies a line of a cart.
    CartItemId,
    /// Identifies an order.
    OrderId,
    /// Identifies a variant of a product; whether there is one is the catalog's to say.
    VariantId,
}

/// Enumerations whose variants are words of the contract and of the database.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? } else $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The word of the contract and of the database.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// Reads one of the words.
            pub(crate) fn parse(field: &str, word: &str) -> Result<Self, $crate::domain::Invalid> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::domain::Invalid::value(field, $rule)),
                }
            }
        }
    };
}
pub(crate) use words;

/// Which state of a row a writer has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(i64);

impl Version {
    /// Versions start at 1; 0 is a caller who did not say.
    pub(crate) fn parse(field: &str, version: i64) -> Result<Self, Invalid> {
        match version {
            1.. => Ok(Self(version)),
            0 => Err(Invalid::because("version_required", field, "must be given")),
            _ => Err(Invalid::value(field, "must be a positive integer")),
        }
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }
}
