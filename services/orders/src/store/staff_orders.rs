//! Everybody's orders, for staff. One statement for each index that can answer, so that no plan reads all of them to
//! show a few.

use rls::Tx;

use super::orders::{Filter, SummaryRow};
use crate::domain::page::Page;

/// Longer lists are not counted to their end.
pub(crate) const COUNTED_MAX: i64 = 10_000;

macro_rules! filtered {
    ($head:literal, $narrow:literal, $tail:literal) => {
        concat!(
            $head,
            " FROM orders o
              WHERE (cardinality($1::text[]) = 0 OR o.status = ANY ($1))
                AND ($2::timestamptz IS NULL OR o.created_at >= $2)
                AND ($3::timestamptz IS NULL OR o.created_at < $3) ",
            $narrow,
            $tail
        )
    };
}

macro_rules! page {
    ($narrow:literal) => {
        filtered!(
            "SELECT o.id, o.number, o.status, o.total_amount, o.currency, o.created_at, o.user_id, o.version,
                    (SELECT count(*) FROM order_items i WHERE i.order_id = o.id) AS items_count",
            $narrow,
            " ORDER BY o.created_at DESC, o.id DESC LIMIT $4 OFFSET $5"
        )
    };
}

macro_rules! count {
    ($narrow:literal) => {
        filtered!("SELECT count(*) FROM (SELECT", $narrow, " LIMIT 10001) AS counted")
    };
}

rls::statements! {
    /// A page of all orders.
    STAFF_LIST_ORDERS = page!("");

    /// A page of the orders in one status.
    STAFF_LIST_ORDERS_IN_STATUS = page!(" AND o.status = $6");

    /// A page of one user's orders.
    STAFF_LIST_ORDERS_OF_USER = page!(" AND o.user_id = $6");

    /// The order of that number.
    STAFF_LIST_ORDERS_BY_NUMBER = page!(" AND o.number = $6");

    /// How many orders there are, up to one more than is counted.
    STAFF_COUNT_ORDERS = count!("");

    /// The same in one status.
    STAFF_COUNT_ORDERS_IN_STATUS = count!(" AND o.status = $4");

    /// The same of one user.
    STAFF_COUNT_ORDERS_OF_USER = count!(" AND o.user_id = $4");

    /// The same of one number.
    STAFF_COUNT_ORDERS_BY_NUMBER = count!(" AND o.number = $4");
}

/// Which orders staff want to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) filter: Filter,
    pub(crate) user: Option<i64>,
    /// As people say it.
    pub(crate) number: Option<String>,
}

/// By which index a selection is answered.
enum Narrow<'a> {
    Number(&'a str),
    User(i64),
    Status(&'static str),
    Nothing,
}

impl Selection {
    /// The narrowest first.
    fn narrow(&self) -> Narrow<'_> {
        match (&self.number, self.user, self.filter.statuses.as_slice()) {
            (Some(number), _, _) => Narrow::Number(number),
            (None, Some(user), _) => Narrow::User(user),
            (None, None, [status]) => Narrow::Status(status),
            (None, None, _) => Narrow::Nothing,
        }
    }
}

/// A page of the orders selected, newest first.
pub(crate) async fn orders(
    tx: &mut Tx,
    selection: &Selection,
    page: Page,
) -> Result<Vec<SummaryRow>, sqlx::Error> {
    let narrow = selection.narrow();
    let sql = match narrow {
        Narrow::Number(_) => STAFF_LIST_ORDERS_BY_NUMBER,
        Narrow::User(_) => STAFF_LIST_ORDERS_OF_USER,
        Narrow::Status(_) => STAFF_LIST_ORDERS_IN_STATUS,
        Narrow::Nothing => STAFF_LIST_ORDERS,
    };
    let filter = &selection.filter;
    let query = sqlx::query_as(sql)
        .bind(&filter.statuses)
        .bind(filter.from)
        .bind(filter.to)
        .bind(page.limit())
        .bind(page.offset());
    let query = match narrow {
        Narrow::Number(number) => query.bind(number),
        Narrow::User(user) => query.bind(user),
        Narrow::Status(status) => query.bind(status),
        Narrow::Nothing => query,
    };
    query.fetch_all(&mut *tx.statement("SELECT orders for staff")).await
}

/// How many orders are selected; more than [`COUNTED_MAX`] means that many at least.
pub(crate) async fn count(tx: &mut Tx, selection: &Selection) -> Result<i64, sqlx::Error> {
    let narrow = selection.narrow();
    let sql = match narrow {
        Narrow::Number(_) => STAFF_COUNT_ORDERS_BY_NUMBER,
        Narrow::User(_) => STAFF_COUNT_ORDERS_OF_USER,
        Narrow::Status(_) => STAFF_COUNT_ORDERS_IN_STATUS,
        Narrow::Nothing => STAFF_COUNT_ORDERS,
    };
    let filter = &selection.filter;
    let query = sqlx::query_scalar(sql).bind(&filter.statuses).bind(filter.from).bind(filter.to);
    let query = match narrow {
        Narrow::Number(number) => query.bind(number),
        Narrow::User(user) => query.bind(user),
        Narrow::Status(status) => query.bind(status),
        Narrow::Nothing => query,
    };
    query.fetch_one(&mut *tx.statement("SELECT count of orders for staff")).await
}
