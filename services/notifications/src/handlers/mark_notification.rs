//! Read or unread; what is so already stays so, and nobody is told.

use idempotency::Done;
use proto::notifications::v1::{MarkNotificationRequest, MarkNotificationResponse};

use crate::domain;
use crate::error::Error;
use crate::feed::{self, Mark};
use crate::handlers::{Call, now};
use crate::store::feeds;
use crate::wire;

pub(crate) async fn mark_notification(
    call: &Call,
    request: MarkNotificationRequest,
) -> Result<Done<MarkNotificationResponse>, Error> {
    let person = call.person()?;
    let id = domain::id("id", request.id)?;
    let mark = if request.read { Mark::Read } else { Mark::Unread };
    call.once(
        |notification| MarkNotificationResponse {
            notification: Some(wire::notification(notification)),
            receipts: Vec::new(),
        },
        move |tx| {
            Box::pin(async move {
                let mut feed = feeds::lock(tx, person.id).await?.ok_or(Error::NotFound)?;
                feed::mark(tx, now(), &mut feed, id, mark).await
            })
        },
    )
    .await
}
