//! The vocabulary of tags: what an event can make stale and what a cached answer can depend on.
//!
//! The only place where a tag is spelled. The gateway's cache policy tags its entries with these
//! same functions, so that the two sides cannot drift apart.

/// Whatever shows this product: its page, every list, search and cart that contains it.
pub fn product(id: i64) -> String {
    format!("product:{id}")
}

/// The product's page asked for by slug, also the 404 of a slug that did not exist.
pub fn product_slug(slug: &str) -> String {
    format!("product:slug:{slug}")
}

/// Lists of products in their default order, without a category.
pub fn products_list() -> String {
    "products:list".to_owned()
}

/// Lists of the products of one category, its descendants included.
pub fn products_list_category(id: i64) -> String {
    format!("products:list:category:{id}")
}

/// Lists sorted or filtered by price.
pub fn products_list_price() -> String {
    "products:list:price".to_owned()
}

/// Lists with any other filter or order.
pub fn products_list_filtered() -> String {
    "products:list:filtered".to_owned()
}

/// The newest products.
pub fn products_new() -> String {
    "products:new".to_owned()
}

/// The featured products.
pub fn products_featured() -> String {
    "products:featured".to_owned()
}

/// Whatever shows this category.
pub fn category(id: i64) -> String {
    format!("category:{id}")
}

/// The tree of categories with its counts.
pub fn categories() -> String {
    "categories".to_owned()
}

/// Every search result.
pub fn search_all() -> String {
    "search:all".to_owned()
}

/// Suggestions while typing.
pub fn suggest() -> String {
    "suggest".to_owned()
}

/// A user's own profile.
pub fn profile_user(user: i64) -> String {
    format!("profile:user:{user}")
}

/// A user's addresses.
pub fn addresses_user(user: i64) -> String {
    format!("addresses:user:{user}")
}

/// A user's agenda: its lists and each of its events (S30).
pub fn events_user(user: i64) -> String {
    format!("events:user:{user}")
}

/// Whatever shows this event of an agenda.
pub fn event(id: i64) -> String {
    format!("event:{id}")
}

/// A user's coffee masters.
pub fn professionals_user(user: i64) -> String {
    format!("professionals:user:{user}")
}

/// Reports that a user sent or received (S32).
pub fn reports_user(user: i64) -> String {
    format!("reports:user:{user}")
}

/// Whatever shows this report.
pub fn report(id: i64) -> String {
    format!("report:{id}")
}

/// A user's notifications and how many are unread (S31).
pub fn notifications_user(user: i64) -> String {
    format!("notifications:user:{user}")
}

/// How a user wants to be told.
pub fn notification_preferences_user(user: i64) -> String {
    format!("notifprefs:user:{user}")
}

/// What is left of a variant: never part of a product's page.
pub fn stock_variant(variant: i64) -> String {
    format!("stock:variant:{variant}")
}

/// A user's cart.
pub fn cart_user(user: i64) -> String {
    format!("cart:user:{user}")
}

/// A guest's cart, by the hexadecimal SHA-256 of its token.
pub fn cart_token(token_sha256: &str) -> String {
    format!("cart:token:{token_sha256}")
}

/// A user's orders: the list and each of them.
pub fn orders_user(user: i64) -> String {
    format!("orders:user:{user}")
}

/// Whatever shows this order.
pub fn order(id: i64) -> String {
    format!("order:{id}")
}

/// Sums over all orders.
pub fn orders_stats() -> String {
    "orders:stats".to_owned()
}

/// Whatever shows this coupon.
pub fn coupon(code: &str) -> String {
    format!("coupon:{code}")
}

/// Every shipping quote.
pub fn shipping() -> String {
    "shipping".to_owned()
}
