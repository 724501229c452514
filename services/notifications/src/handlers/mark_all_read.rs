//! Everything in the feed is read.

use proto::notifications::v1::{MarkAllReadRequest, MarkAllReadResponse};

use crate::error::Error;
use crate::feed;
use crate::handlers::{Call, now};
use crate::store::feeds;
use crate::wire;

pub(crate) async fn mark_all_read(
    call: &Call,
    _request: MarkAllReadRequest,
) -> Result<MarkAllReadResponse, Error> {
    let person = call.person()?;
    let committed = call
        .write(move |tx| {
            Box::pin(async move {
                match feeds::lock(tx, person.id).await? {
                    Some(mut feed) => feed::mark_all(tx, now(), &mut feed).await,
                    None => Ok(0),
                }
            })
        })
        .await?;
    Ok(MarkAllReadResponse { marked: committed.value as u64, receipts: wire::receipts(committed.receipts) })
}
