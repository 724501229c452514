//! The orders service: carts, stock, coupons, shipping, checkout, payments, and what becomes of an order.

/// The schemas `app` and `orders`, for the role that owns the database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");
