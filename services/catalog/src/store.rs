//! Every SQL statement of the service, one function per statement, named for the question it answers.
//!
//! Rows that a caller may not see are not there: the policies of the migrations see to that. The
//! search path of the service's login holds the schemas `catalog` and `app`.

pub(crate) mod categories;
pub(crate) mod images;
pub(crate) mod listing;
pub(crate) mod load;
pub(crate) mod popularity;
pub(crate) mod prices;
pub(crate) mod products;
pub(crate) mod quotes;
pub(crate) mod stock;
pub(crate) mod totals;

/// The base price list of `migrations/0003_catalog.sql`.
const BASE_PRICE_LIST_ID: i64 = 1;
