//! A buyer's orders: seen with the buyer's eyes, changed by the service.

pub(crate) mod cancel_order;
pub(crate) mod export_user_data;
pub(crate) mod get_order;
pub(crate) mod get_order_for_notice;
pub(crate) mod list_orders;
pub(crate) mod reorder;
pub(crate) mod request_return;
pub(crate) mod watch_order;

use proto::orders::v1 as pb;
use rls::{Caller, Tx};

use super::Call;
use crate::domain::OrderId;
use crate::error::{Error, Missing};
use crate::store::{order_changes, orders};
use crate::wire;

/// Entries of a history that are shown at once: far more than an order can have steps.
const HISTORY_MAX: i64 = 200;

/// An order with all that its buyer may see, in four statements.
pub(crate) async fn view(tx: &mut Tx, id: OrderId) -> Result<pb::Order, Error> {
    Ok(wire::order::order(parts(tx, id).await?))
}

/// The same, with what staff wrote down.
pub(crate) async fn view_with_notes(tx: &mut Tx, id: OrderId) -> Result<pb::Order, Error> {
    let mut parts = parts(tx, id).await?;
    parts.notes = order_changes::notes(tx, id).await?;
    Ok(wire::order::order(parts))
}

/// The same without where it goes to: where somebody lives is not kept for repeats. [`Call::tell_address`] puts it back.
pub(crate) async fn view_to_keep(tx: &mut Tx, id: OrderId) -> Result<pb::Order, Error> {
    Ok(pb::Order { shipping_address: None, ..view(tx, id).await? })
}

/// The same with what staff wrote down.
pub(crate) async fn notes_to_keep(tx: &mut Tx, id: OrderId) -> Result<pb::Order, Error> {
    Ok(pb::Order { shipping_address: None, ..view_with_notes(tx, id).await? })
}

async fn parts(tx: &mut Tx, id: OrderId) -> Result<wire::order::Parts, Error> {
    let order = orders::order(tx, id).await?.ok_or(Error::NotFound(Missing::Order))?;
    Ok(wire::order::Parts {
        order,
        items: orders::items(tx, id).await?,
        history: orders::history(tx, id, 0, HISTORY_MAX).await?,
        payments: orders::payments(tx, id).await?,
        notes: Vec::new(),
    })
}

impl Call {
    /// Says where the order of a reply goes to, which is not kept for repeats. The change that it tells of was made: when
    /// the database does not answer, the reply goes without.
    pub(crate) async fn tell_address(&self, order: &mut Option<pb::Order>) {
        let Some(order) = order else { return };
        let id = OrderId::known(order.id);
        let read = self
            .read_as(Caller::Service, move |tx| Box::pin(async move { Ok(orders::address(tx, id).await?) }));
        match read.await {
            Ok(address) => order.shipping_address = address.map(wire::order::address),
            Err(error) => tracing::warn!(order.id = id.get(), %error, "a reply goes without its address"),
        }
    }

    /// Refuses an order that is not the caller's: it does not exist, same words.
    pub(crate) async fn require_own(&self, id: OrderId) -> Result<(), Error> {
        let caller = self.buyer()?.caller();
        let seen =
            self.read_as(caller, move |tx| Box::pin(async move { Ok(orders::last_entry(tx, id).await?) }));
        seen.await?.map(drop).ok_or(Error::NotFound(Missing::Order))
    }
}
