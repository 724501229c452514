//! Orders as staff see and move them; every change is written into the audit log.

pub(crate) mod add_note;
pub(crate) mod change_order_status;
pub(crate) mod create_shipment;
pub(crate) mod get_order;
pub(crate) mod list_orders;

use audit::Entry;
use rls::{Caller, DatabaseError, Tx};
use serde_json::Value;

use super::Call;
use crate::domain::OrderId;
use crate::error::Error;

/// Who did what to an order by which request.
#[derive(Clone, Debug)]
struct Deed {
    actor: Caller,
    request_id: String,
    action: &'static str,
    id: OrderId,
}

impl Deed {
    fn of(call: &Call, action: &'static str, id: OrderId) -> Result<Self, Error> {
        Ok(Self { actor: call.staff()?, request_id: call.request_id.clone(), action, id })
    }

    /// Writes it down, last in its transaction: the log is one chain.
    async fn audit(self, tx: &mut Tx, before: Option<Value>, after: Value) -> Result<(), Error> {
        let entry = Entry {
            actor: self.actor,
            action: self.action,
            entity: "order",
            entity_id: self.id.to_string(),
            before,
            after: Some(after),
            request_id: self.request_id,
        };
        audit::record(tx, &entry).await.map_err(|error| Error::Database(DatabaseError::from(error)))
    }
}
