//! Payments in the contract's words.

use proto::events::v1::PurgeReceipt;
use proto::orders::v1 as pb;
use rls::Receipt;
use time::OffsetDateTime;

use super::order::timestamp;
use crate::payments::provider::NextAction;
use crate::store::orders::AttemptRow;
use crate::store::payments::Subject;

/// A payment as its buyer sees it.
pub(crate) fn shown(row: AttemptRow) -> pb::Payment {
    pb::Payment {
        id: row.id.to_string(),
        order_id: row.order_id,
        attempt: row.attempt,
        method: row.method,
        status: row.status,
        amount: row.amount,
        currency: row.currency,
        captured_amount: row.captured_amount,
        refunded_amount: row.refunded_amount,
        failure_code: row.failure_code,
        retryable: row.retryable,
        next_action: row.next_action.and_then(next_action),
        created_at: Some(timestamp(row.created_at)),
    }
}

/// The same of one that was just moved on.
pub(crate) fn of_subject(subject: &Subject) -> pb::Payment {
    let payment = &subject.payment;
    pb::Payment {
        id: payment.id.to_string(),
        order_id: subject.order.id,
        attempt: payment.attempt,
        method: payment.method.clone(),
        status: payment.status.as_str().to_owned(),
        amount: payment.amount,
        currency: payment.currency.clone(),
        captured_amount: payment.captured_amount,
        refunded_amount: payment.refunded_amount,
        failure_code: payment.failure_code.clone(),
        retryable: payment.retryable,
        next_action: payment.next_action.clone().and_then(next_action),
        created_at: Some(timestamp(payment.created_at)),
    }
}

/// What a transaction made stale.
pub(crate) fn receipt(receipt: Receipt) -> PurgeReceipt {
    PurgeReceipt {
        event_id: receipt.event_id.to_string(),
        tags: receipt.tags,
        commit_lsn: receipt.commit_lsn,
    }
}

/// What the buyer has to do, as it is kept.
fn next_action(kept: serde_json::Value) -> Option<pb::NextAction> {
    Some(match serde_json::from_value(kept).ok()? {
        NextAction::Redirect { url } => {
            pb::NextAction { r#type: "redirect".to_owned(), redirect_url: url, ..pb::NextAction::default() }
        }
        NextAction::Pix { copy_paste, image_url, expires_at } => pb::NextAction {
            r#type: "pix".to_owned(),
            pix_copy_paste: copy_paste,
            pix_image_url: image_url,
            expires_at: OffsetDateTime::from_unix_timestamp(expires_at).ok().map(timestamp),
            ..pb::NextAction::default()
        },
    })
}
