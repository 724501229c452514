//! Everything in the feed is read.

use idempotency::Done;
use proto::notifications::v1::{MarkAllReadRequest, MarkAllReadResponse};

use crate::error::Error;
use crate::feed;
use crate::handlers::{Call, now};
use crate::store::feeds;

pub(crate) async fn mark_all_read(
    call: &Call,
    _request: MarkAllReadRequest,
) -> Result<Done<MarkAllReadResponse>, Error> {
    let person = call.person()?;
    call.once(
        |marked| MarkAllReadResponse { marked: marked as u64, receipts: Vec::new() },
        move |tx| {
            Box::pin(async move {
                match feeds::lock(tx, person.id).await? {
                    Some(mut feed) => feed::mark_all(tx, now(), &mut feed).await,
                    None => Ok(0),
                }
            })
        },
    )
    .await
}
