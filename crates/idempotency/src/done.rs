//! What was done, now or before.

use proto::events::v1::PurgeReceipt;
use rls::Receipt;
use tonic::Response;
use tonic::metadata::MetadataValue;

use crate::refused::REPLAYED;
use crate::reply::Reply;

/// The reply of work that was done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<R> {
    /// The reply, with the receipts of what became stale.
    pub reply: R,
    /// Whether this is the reply of an earlier request.
    pub replayed: bool,
}

impl<R: Reply> Done<R> {
    /// `reply` with the receipts of the committed transaction, which stand for all that it held before.
    pub fn new(mut reply: R, receipts: Vec<Receipt>, replayed: bool) -> Self {
        if let Some(of_reply) = reply.receipts_mut() {
            *of_reply = receipts.into_iter().map(receipt).collect();
        }
        Self { reply, replayed }
    }
}

/// What a handler may answer with: a reply, or one that may have been given before.
pub trait Answer<R> {
    /// The response, marked when it was given before.
    fn into_response(self) -> Response<R>;
}

impl<R: prost::Message> Answer<R> for R {
    fn into_response(self) -> Response<R> {
        Response::new(self)
    }
}

impl<R> Answer<R> for Done<R> {
    fn into_response(self) -> Response<R> {
        let mut response = Response::new(self.reply);
        if self.replayed {
            response.metadata_mut().insert(REPLAYED, MetadataValue::from_static("true"));
        }
        response
    }
}

fn receipt(receipt: Receipt) -> PurgeReceipt {
    PurgeReceipt {
        event_id: receipt.event_id.to_string(),
        tags: receipt.tags,
        commit_lsn: receipt.commit_lsn,
    }
}
