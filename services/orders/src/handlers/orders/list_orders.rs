//! The caller's orders, newest first: by number of page, or from a cursor on.

use proto::orders::v1::{ListOrdersRequest, ListOrdersResponse};

use crate::domain::cursor::{Cursor, Direction};
use crate::domain::page::Page;
use crate::error::Error;
use crate::handlers::{Buyer, Call};
use crate::secret_key::SecretKey;
use crate::store::orders::{self as store, Filter, SummaryRow};
use crate::wire;

pub(crate) async fn list_orders(
    call: &Call,
    request: ListOrdersRequest,
) -> Result<ListOrdersResponse, Error> {
    let buyer = call.buyer()?;
    let filter = wire::order::filter(&request.statuses, request.from, request.to)?;
    // A cursor goes on wherever it was made; what it needs of a page is its length.
    let number = if request.cursor.is_some() { 1 } else { request.page };
    let page = Page::parse(number, request.per_page)?;
    let question = question(&buyer, &filter);
    let key = call.shared.key;
    let cursor =
        request.cursor.as_deref().map(|text| Cursor::decode("cursor", text, &key, &question)).transpose()?;

    let (rows, total) = call
        .read_as(buyer.caller(), move |tx| {
            Box::pin(async move {
                // One more than shown says whether the list goes on.
                let limit = page.limit() + 1;
                let rows = match cursor {
                    None => store::orders(tx, &filter, limit, page.offset()).await?,
                    Some(Cursor { direction: Direction::Next, created_at, id }) => {
                        store::orders_after(tx, &filter, limit, (created_at, id)).await?
                    }
                    Some(Cursor { direction: Direction::Previous, created_at, id }) => {
                        store::orders_before(tx, &filter, limit, (created_at, id)).await?
                    }
                };
                Ok((rows, store::count(tx, &filter).await?))
            })
        })
        .await?;
    let shown = Shown::of(rows, page, cursor.map(|cursor| cursor.direction));
    Ok(ListOrdersResponse {
        next_cursor: shown.next.map(|row| cursor_at(row, Direction::Next, &key, &question)),
        prev_cursor: shown.previous.map(|row| cursor_at(row, Direction::Previous, &key, &question)),
        orders: shown.rows.into_iter().map(wire::order::summary).collect(),
        total: total.unsigned_abs(),
    })
}

/// A page, and the rows beside which its neighbours begin.
struct Shown {
    rows: Vec<SummaryRow>,
    next: Option<SummaryRow>,
    previous: Option<SummaryRow>,
}

impl Shown {
    /// `rows` hold one more than the page when the list goes on in the direction in which it was read.
    fn of(mut rows: Vec<SummaryRow>, page: Page, direction: Option<Direction>) -> Self {
        let length = usize::try_from(page.limit()).expect("a page is at most a hundred rows long");
        let goes_on = rows.len() > length;
        let backwards = direction == Some(Direction::Previous);
        if goes_on && backwards {
            rows.remove(0);
        }
        rows.truncate(length);
        let is_first = match direction {
            None => page.offset() == 0,
            Some(Direction::Next) => false,
            Some(Direction::Previous) => !goes_on,
        };
        let next = rows.last().filter(|_| goes_on || backwards).cloned();
        let previous = rows.first().filter(|_| !is_first).cloned();
        Self { rows, next, previous }
    }
}

fn cursor_at(row: SummaryRow, direction: Direction, key: &SecretKey, question: &str) -> String {
    Cursor { direction, created_at: row.created_at, id: row.id }.encode(key, question)
}

/// Whose list it is, and what it leaves out: a cursor is good for that only.
fn question(buyer: &Buyer, filter: &Filter) -> String {
    let token = buyer.token_sha256().map(|hash| hash.map(|byte| format!("{byte:02x}")).concat());
    format!(
        "{:?} {token:?} {:?} {:?} {:?}",
        buyer.user_id(),
        filter.statuses,
        filter.from.map(time::OffsetDateTime::unix_timestamp_nanos),
        filter.to.map(time::OffsetDateTime::unix_timestamp_nanos),
    )
}
