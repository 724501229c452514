//! What is kept of a request that was answered.

use http::{HeaderMap, HeaderName, HeaderValue};
use proto::events::v1::PurgeReceipt;
use rls::Tx;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::refused::{REPLAYED, REQUEST_ID, Refused};
use crate::reply::Reply;

/// A longer reply is not kept, in bytes.
pub const REPLY_BYTES_MAX: usize = 64 * 1024;

/// What an earlier request with the same key was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub(crate) code: Code,
    /// The reply, or the refusal; `None` when it was too long.
    pub(crate) body: Option<Vec<u8>>,
    /// Of the first request.
    pub(crate) request_id: String,
}

impl Stored {
    /// The reply, once more. What it made stale counts as made stale by `tx` again, so that the receipts of its commit
    /// say so: the caller may be the first that hears of it. Give the reply to [`Done::new`](crate::Done::new) with
    /// them.
    ///
    /// # Errors
    /// The refusal, when that is what was answered, and [`Refused::NotKept`].
    pub fn replay<R: Reply>(self, tx: &mut Tx) -> Result<R, Refused> {
        if self.code != Code::Ok {
            return Err(Refused::Replayed(Box::new(self.refusal()?)));
        }
        let body = self.body.ok_or(Refused::NotKept)?;
        let mut reply = R::decode(body.as_slice()).map_err(|_unreadable| Refused::Unreadable)?;
        for receipt in reply.receipts_mut().map(std::mem::take).unwrap_or_default() {
            let event_id = receipt.event_id.parse().map_err(|_no_uuid| Refused::Unreadable)?;
            tx.stale(event_id, receipt.tags);
        }
        Ok(reply)
    }

    fn refusal(self) -> Result<Status, Refused> {
        let body = self.body.ok_or(Refused::NotKept)?;
        let kept: Refusal =
            prost::Message::decode(body.as_slice()).map_err(|_unreadable| Refused::Unreadable)?;
        let mut status = kept.status(self.code).ok_or(Refused::Unreadable)?;
        let metadata = status.metadata_mut();
        metadata.insert(REPLAYED, MetadataValue::from_static("true"));
        match self.request_id.parse() {
            Ok(request_id) if !self.request_id.is_empty() => {
                metadata.insert(REQUEST_ID, request_id);
            }
            _ => {}
        }
        Ok(status)
    }
}

/// A reply as it is kept: with what `tx` made stale besides. `None` when it is too long.
pub(crate) fn reply_bytes<R: Reply>(tx: &Tx, reply: &R) -> Option<Vec<u8>> {
    let mut reply = reply.clone();
    let made_stale = tx.made_stale().iter().map(|(event_id, tags)| PurgeReceipt {
        event_id: event_id.to_string(),
        tags: tags.clone(),
        // The position is known after the commit; a repeat has one of its own.
        commit_lsn: 0,
    });
    if let Some(receipts) = reply.receipts_mut() {
        receipts.extend(made_stale);
    }
    Some(reply.encode_to_vec()).filter(|bytes| bytes.len() <= REPLY_BYTES_MAX)
}

/// A refusal as it is kept; `None` when it is too long.
pub(crate) fn refusal_bytes(status: &Status) -> Option<Vec<u8>> {
    let kept = Refusal::of(status);
    Some(prost::Message::encode_to_vec(&kept)).filter(|bytes| bytes.len() <= REPLY_BYTES_MAX)
}

/// All of a status but its code.
#[derive(Clone, PartialEq, prost::Message)]
struct Refusal {
    #[prost(string, tag = "1")]
    message: String,
    #[prost(bytes = "vec", tag = "2")]
    details: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Entry>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

impl Refusal {
    fn of(status: &Status) -> Self {
        let headers = status.metadata().clone().into_headers();
        let entry = |(name, value): (&HeaderName, &HeaderValue)| Entry {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec(),
        };
        Self {
            message: status.message().to_owned(),
            details: status.details().to_vec(),
            metadata: headers.iter().map(entry).collect(),
        }
    }

    fn status(self, code: Code) -> Option<Status> {
        let mut headers = HeaderMap::with_capacity(self.metadata.len() + 2);
        for Entry { name, value } in self.metadata {
            headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(&value).ok()?);
        }
        let metadata = MetadataMap::from_headers(headers);
        Some(Status::with_details_and_metadata(code, self.message, self.details.into(), metadata))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_back_as_it_was() {
        let mut metadata = MetadataMap::new();
        metadata.insert("mc-reason", MetadataValue::from_static("out_of_stock"));
        metadata.insert_bin("mc-lines-bin", MetadataValue::from_bytes(&[0, 1, 255]));
        let first = Status::with_details_and_metadata(Code::Aborted, "não há", vec![7].into(), metadata);
        let stored = Stored { code: first.code(), body: refusal_bytes(&first), request_id: "r-1".to_owned() };
        let again = stored.refusal().expect("readable");
        assert_eq!((again.code(), again.message(), again.details()), (first.code(), "não há", &[7][..]));
        assert_eq!(again.metadata().get("mc-reason").expect("kept"), "out_of_stock");
        let lines = again.metadata().get_bin("mc-lines-bin").expect("kept").to_bytes().expect("binary");
        assert_eq!(lines.as_ref(), [0, 1, 255]);
        assert_eq!(again.metadata().get(REPLAYED).expect("marked"), "true");
        assert_eq!(again.metadata().get(REQUEST_ID).expect("named"), "r-1");
    }

    #[test]
    fn what_cannot_be_read_is_our_fault() {
        let stored = |body| Stored { code: Code::NotFound, body, request_id: String::new() };
        assert!(matches!(stored(Some(vec![255])).refusal(), Err(Refused::Unreadable)));
        assert!(matches!(stored(None).refusal(), Err(Refused::NotKept)));
    }
}
