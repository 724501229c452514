//! One notification less.

use idempotency::Done;
use proto::notifications::v1::{DeleteNotificationRequest, DeleteNotificationResponse};

use crate::domain;
use crate::error::Error;
use crate::feed;
use crate::handlers::{Call, now};
use crate::store::feeds;

pub(crate) async fn delete_notification(
    call: &Call,
    request: DeleteNotificationRequest,
) -> Result<Done<DeleteNotificationResponse>, Error> {
    let person = call.person()?;
    let id = domain::id("id", request.id)?;
    call.once(
        |()| DeleteNotificationResponse { receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                let mut feed = feeds::lock(tx, person.id).await?.ok_or(Error::NotFound)?;
                feed::delete(tx, now(), &mut feed, id).await
            })
        },
    )
    .await
}
