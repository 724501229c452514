//! A page of the caller's notifications, latest first.

use proto::notifications::v1::{ListNotificationsRequest, ListNotificationsResponse};

use crate::domain::page::{Page, Which};
use crate::error::Error;
use crate::handlers::Call;
use crate::store::{feeds, notifications};
use crate::wire;

pub(crate) async fn list_notifications(
    call: &Call,
    request: ListNotificationsRequest,
) -> Result<ListNotificationsResponse, Error> {
    let person = call.person()?;
    let page = Page::parse(request.page, request.limit)?;
    let which = if request.unread_only { Which::Unread } else { Which::All };
    let found = call
        .read(move |tx| {
            Box::pin(async move {
                let Some(feed) = feeds::feed(tx, person.id).await? else { return Ok(None) };
                let rows = notifications::page(tx, person.id, which, page).await?;
                Ok(Some((feed, rows)))
            })
        })
        .await?;
    let Some((feed, rows)) = found else { return Ok(ListNotificationsResponse::default()) };
    let (kept, unread) = (u64::from(feed.kept.unsigned_abs()), u64::from(feed.unread.unsigned_abs()));
    Ok(ListNotificationsResponse {
        notifications: rows.into_iter().map(wire::notification).collect(),
        total: match which {
            Which::All => kept,
            Which::Unread => unread,
        },
        unread,
    })
}
