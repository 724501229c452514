//! A note about an order, for staff only.

use events::Event;
use idempotency::Done;
use proto::orders::v1::{AddNoteRequest, OrderResponse};
use rls::Caller;
use serde_json::json;

use super::Deed;
use crate::domain::OrderId;
use crate::domain::order::note;
use crate::error::{Error, Missing};
use crate::handlers::orders::notes_to_keep;
use crate::handlers::{Call, now, record};
use crate::order_facts;
use crate::store::order_changes as store;

pub(crate) async fn add_note(call: &Call, request: AddNoteRequest) -> Result<Done<OrderResponse>, Error> {
    let staff = call.staff()?;
    let author = staff.id().ok_or(Error::Forbidden)?;
    let id = OrderId::parse("order_id", request.order_id)?;
    let body = note("body", &request.body)?;
    let deed = Deed::of(call, "order.note_added", id)?;
    let now = now();
    let mut done = call
        .once_as(Caller::Service, move |tx| {
            Box::pin(async move {
                let order = store::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
                let note_id = store::insert_note(tx, id, author, &body).await?;
                let version = store::touch(tx, id).await?;
                record(tx, &Event::new(&staff, now, version, order_facts::updated(&order, &["notes"])))
                    .await?;
                let order = notes_to_keep(tx, id).await?;
                // What it says may be about a person; that it was said is enough.
                deed.audit(tx, None, json!({ "note_id": note_id })).await?;
                Ok(OrderResponse { order: Some(order), receipts: Vec::new() })
            })
        })
        .await?;
    call.tell_address(&mut done.reply.order).await;
    Ok(done)
}
