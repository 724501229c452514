//! The cached reads of whoever shops: carts and orders of users, and of guests by the token that they hold.
//!
//! A guest's entries carry the token's SHA-256 in their key, which is compared in full, and have an owner that no user
//! is. All of it is strict: money and stock are never shown later than the purge log allows.

use std::fmt::Write;
use std::time::Duration;

use events::tags;
use rls::{Caller, UserId};
use tag_cache::Class;
use time::OffsetDateTime;

use super::path_id;
use crate::error::Error;
use crate::guest::ORDER_TOKEN;
use crate::listing::{PER_PAGE_DEFAULT, Page, place};
use crate::pages::moment;
use crate::query::{Query, Subset};
use crate::routes::Route;
use crate::views::rfc3339;

/// What an order can be.
pub const ORDER_STATUSES: [&str; 12] = [
    "pending_payment",
    "paid",
    "processing",
    "shipped",
    "delivered",
    "cancelled",
    "payment_failed",
    "expired",
    "return_requested",
    "returned",
    "refunded",
    "partially_refunded",
];

/// What `include` may name on an order.
pub const ORDER_PARTS: [&str; 3] = ["history", "shipments", "payments"];

/// A read that only its shopper's requests may be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shopping {
    /// Whose.
    pub shopper: Shopper,
    /// What.
    pub question: ShopQuestion,
}

/// Who shops.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shopper {
    /// Somebody with an account.
    User(UserId),
    /// Whoever holds the token with this SHA-256.
    Guest([u8; 32]),
}

/// A token's hash stays out of logs: it is as good as the cart.
impl std::fmt::Debug for Shopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(UserId(id)) => write!(f, "User({id})"),
            Self::Guest(_) => f.write_str("Guest(…)"),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShopQuestion {
    /// The cart with current prices.
    Cart,
    /// A page of a user's orders.
    Orders(OrderList),
    /// One order.
    Order {
        /// Which.
        id: i64,
        /// With these of [`ORDER_PARTS`].
        parts: Subset,
    },
    /// The same as the buyer sees it after paying.
    Confirmation {
        /// Which.
        id: i64,
    },
}

/// A page of orders, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderList {
    /// Where it begins.
    pub page: Page,
    /// 1 to 100.
    pub per_page: u32,
    /// Any of [`ORDER_STATUSES`], in that order; all when empty.
    pub statuses: Vec<&'static str>,
    /// Those placed at or after it.
    pub from: Option<OffsetDateTime>,
    /// Those placed before it.
    pub to: Option<OffsetDateTime>,
}

const MINUTES_5: Duration = Duration::from_secs(300);

impl Shopper {
    /// The shopper that a caller is; nobody and staff of services are none.
    fn of(caller: &Caller) -> Result<Self, Error> {
        match caller {
            Caller::User(id) | Caller::Staff(id) | Caller::Admin(id) => Ok(Self::User(*id)),
            Caller::Guest { cart_token_sha256 } => Ok(Self::Guest(*cart_token_sha256)),
            Caller::Anonymous | Caller::Service => Err(Error::Unauthenticated),
        }
    }

    /// As the cache keeps it. Guests have the upper half of the numbers, where no user is.
    pub(super) fn owner(&self) -> u64 {
        match self {
            Self::User(UserId(id)) => id.cast_unsigned(),
            Self::Guest(sha256) => {
                let [a, b, c, d, e, f, g, h, ..] = *sha256;
                u64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1 << 63
            }
        }
    }
}

impl OrderList {
    /// Takes the list's parameters.
    pub fn take(query: &mut Query<'_>) -> Result<Self, Error> {
        let (page, per_page) = place(query)?;
        let statuses = query.subset("status", &ORDER_STATUSES)?;
        let statuses = statuses.map_or_else(Vec::new, |chosen| {
            let named = ORDER_STATUSES.into_iter().enumerate();
            named.filter(|(position, _)| chosen.contains(*position)).map(|(_, name)| name).collect()
        });
        Ok(Self { page, per_page, statuses, from: moment(query, "from")?, to: moment(query, "to")? })
    }

    /// Appends what is not the default, sorted by name.
    fn key(&self, key: &mut String) -> std::fmt::Result {
        if let Page::Cursor(cursor) = &self.page {
            write!(key, ":cursor:{cursor}")?;
        }
        if let Some(from) = self.from {
            write!(key, ":from:{}", rfc3339(from))?;
        }
        match self.page {
            Page::Number(1) | Page::Cursor(_) => {}
            Page::Number(page) => write!(key, ":page:{page}")?,
        }
        if self.per_page != PER_PAGE_DEFAULT {
            write!(key, ":per_page:{}", self.per_page)?;
        }
        if !self.statuses.is_empty() {
            write!(key, ":status:{}", self.statuses.join(","))?;
        }
        self.to.map_or(Ok(()), |to| write!(key, ":to:{}", rfc3339(to)))
    }
}

impl Shopping {
    /// Reads path segment and query of a route that is cached for each shopper; `None` when the route is none.
    pub(super) fn parse(
        route: Route,
        segment: &str,
        query: &str,
        caller: &Caller,
    ) -> Result<Option<Self>, Error> {
        let shopper = Shopper::of(caller)?;
        let mut query = Query::parse(query)?;
        if route.takes_order_token() {
            // It has said who asks.
            query.take(ORDER_TOKEN);
        }
        let question = match route {
            Route::Cart => ShopQuestion::Cart,
            Route::Orders if matches!(shopper, Shopper::User(_)) => {
                ShopQuestion::Orders(OrderList::take(&mut query)?)
            }
            // A token opens a cart or an order, and no list.
            Route::Orders => return Err(Error::Unauthenticated),
            Route::Order => ShopQuestion::Order {
                id: path_id(segment)?,
                parts: query.subset("include", &ORDER_PARTS)?.unwrap_or_default(),
            },
            Route::OrderConfirmation => ShopQuestion::Confirmation { id: path_id(segment)? },
            _ => return Ok(None),
        };
        query.finish()?;
        Ok(Some(Self { shopper, question }))
    }

    /// Writes the canonical key.
    pub(super) fn key(&self, key: &mut String) -> std::fmt::Result {
        match &self.question {
            ShopQuestion::Cart => return key.write_str(&self.cart_tag()),
            ShopQuestion::Orders(list) => {
                write!(key, "orders:{}", self.shopper)?;
                return list.key(key);
            }
            ShopQuestion::Order { id, parts } => {
                write!(key, "order:{id}")?;
                let mut separator = ":include:";
                for (_, name) in
                    ORDER_PARTS.iter().enumerate().filter(|(position, _)| parts.contains(*position))
                {
                    write!(key, "{separator}{name}")?;
                    separator = ",";
                }
            }
            ShopQuestion::Confirmation { id } => write!(key, "order:{id}:confirmation")?,
        }
        // A user's entries have an owner of their own; a guest's hash is more than an owner holds.
        match self.shopper {
            Shopper::User(_) => Ok(()),
            Shopper::Guest(_) => write!(key, ":{}", self.shopper),
        }
    }

    /// Name for the shared store, tolerance and lifetime.
    pub(super) const fn rules(&self) -> (&'static str, Class, Duration) {
        match &self.question {
            ShopQuestion::Cart => ("cart", Class::Strict, MINUTES_5),
            ShopQuestion::Orders(_) => ("orders", Class::Strict, MINUTES_5),
            ShopQuestion::Order { .. } => ("order", Class::Strict, MINUTES_5),
            ShopQuestion::Confirmation { .. } => ("confirmation", Class::Strict, MINUTES_5),
        }
    }

    /// The tags that follow from the question alone.
    pub(super) fn tags(&self) -> Vec<String> {
        let users = match self.shopper {
            Shopper::User(UserId(user)) => Some(tags::orders_user(user)),
            Shopper::Guest(_) => None,
        };
        match &self.question {
            ShopQuestion::Cart => vec![self.cart_tag()],
            ShopQuestion::Orders(_) => users.into_iter().collect(),
            ShopQuestion::Order { id, .. } | ShopQuestion::Confirmation { id } => {
                std::iter::once(tags::order(*id)).chain(users).collect()
            }
        }
    }

    fn cart_tag(&self) -> String {
        match self.shopper {
            Shopper::User(UserId(user)) => tags::cart_user(user),
            Shopper::Guest(sha256) => tags::cart_token(&hex(&sha256)),
        }
    }
}

/// As keys name shoppers: `user:7`, `token:<hash>`.
impl std::fmt::Display for Shopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(UserId(id)) => write!(f, "user:{id}"),
            Self::Guest(sha256) => write!(f, "token:{}", hex(sha256)),
        }
    }
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
