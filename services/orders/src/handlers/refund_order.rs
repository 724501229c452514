//! Money back, all of it or some, by staff.

use idempotency::Done;
use proto::orders::v1::{Refund, RefundOrderRequest, RefundOrderResponse};
use rls::Caller;
use serde_json::json;

use super::Call;
use super::orders::notes_to_keep;
use crate::domain::order::{self, Units};
use crate::domain::{Invalid, OrderId};
use crate::error::{Error, Missing};
use crate::payments;
use crate::payments::refunds::{self, Promise};
use crate::store::order_changes;
use crate::wire::order as wire;

pub(crate) async fn refund_order(
    call: &Call,
    request: RefundOrderRequest,
) -> Result<Done<RefundOrderResponse>, Error> {
    let actor = call.staff()?;
    let id = OrderId::parse("order_id", request.order_id)?;
    if request.amount.is_some_and(|amount| amount < 1) {
        return Err(Invalid::value("amount", "must be positive").into());
    }
    let reason = order::reason("reason", Some(request.reason))?
        .ok_or_else(|| Invalid::value("reason", "must say why"))?;
    let units: Vec<(i32, i32)> = wire::units(request.lines)?
        .into_iter()
        .map(|Units { line, quantity, .. }| (line, quantity))
        .collect();
    let (amount, request_id) = (request.amount, call.request_id.clone());

    let mut done = call
        .once_as(Caller::Service, move |tx| {
            Box::pin(async move {
                order_changes::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
                let promise = Promise { amount, reason: &reason, requested_by: actor.id(), units: &units };
                let promised = refunds::promise_exactly(tx, id.get(), &promise).await?;
                let reply = RefundOrderResponse {
                    refund: Some(Refund {
                        id: promised.id.to_string(),
                        payment_id: promised.payment_id.to_string(),
                        amount: promised.amount,
                        reason: reason.clone(),
                        status: "pending".to_owned(),
                    }),
                    order: Some(notes_to_keep(tx, id).await?),
                    receipts: Vec::new(),
                };
                let entry = audit::Entry {
                    actor,
                    action: "order.refunded",
                    entity: "order",
                    entity_id: id.to_string(),
                    before: None,
                    after: Some(json!({
                        "refund_id": promised.id,
                        "amount": promised.amount,
                        "lines": units,
                    })),
                    request_id,
                };
                audit::record(tx, &entry).await?;
                Ok(reply)
            })
        })
        .await?;
    call.tell_address(&mut done.reply.order).await;
    payments::hurry_refunds(&call.shared);
    Ok(done)
}
