//! What events say about orders.

use events::Fact;
use proto::events::v1::{OrderFact, OrderStatusChanged, ShipmentFact};

use crate::domain::order::Status;
use crate::facts::{self, hex};
use crate::store::carts::CartRow;
use crate::store::order_changes::{DeliveredShipment, LockedOrder, NewShipment};

/// A locked order took a step.
pub(crate) fn moved(order: &LockedOrder, to: Status) -> Fact {
    moved_from(order, order.status(), to)
}

/// A locked order took a step after another one of the same transaction.
pub(crate) fn moved_from(order: &LockedOrder, from: Status, to: Status) -> Fact {
    Fact::OrderStatusChanged(OrderStatusChanged {
        order_id: order.id,
        user_id: order.user_id,
        old_status: from.as_str().to_owned(),
        status: to.as_str().to_owned(),
        reopened_cart_token_sha256: None,
        cart_reopened: false,
    })
}

/// A locked order took a step by which its lines went back into a cart.
pub(crate) fn moved_and_reopened(order: &LockedOrder, to: Status, token_sha256: Option<&[u8]>) -> Fact {
    Fact::OrderStatusChanged(OrderStatusChanged {
        order_id: order.id,
        user_id: order.user_id,
        old_status: order.status.clone(),
        status: to.as_str().to_owned(),
        reopened_cart_token_sha256: token_sha256.map(hex),
        cart_reopened: true,
    })
}

/// Something of a locked order other than its status is different.
pub(crate) fn updated(order: &LockedOrder, changed: &[&str]) -> Fact {
    Fact::OrderUpdated(OrderFact {
        order_id: order.id,
        user_id: order.user_id,
        changed: changed.iter().map(|column| (*column).to_owned()).collect(),
    })
}

/// Goods of a locked order are on their way.
pub(crate) fn shipped(order: &LockedOrder, id: i64, shipment: &NewShipment) -> Fact {
    Fact::ShipmentCreated(ShipmentFact {
        shipment_id: id,
        order_id: order.id,
        user_id: order.user_id,
        carrier: shipment.carrier.clone(),
        tracking_code: shipment.tracking_code.clone(),
    })
}

/// Goods of a locked order have arrived.
pub(crate) fn delivered(order: &LockedOrder, shipment: &DeliveredShipment) -> Fact {
    Fact::ShipmentDelivered(ShipmentFact {
        shipment_id: shipment.id,
        order_id: order.id,
        user_id: order.user_id,
        carrier: shipment.carrier.clone(),
        tracking_code: shipment.tracking_code.clone(),
    })
}

/// A cart has other lines.
pub(crate) fn cart_updated(cart: &CartRow) -> Fact {
    Fact::CartUpdated(facts::cart(cart.id, cart.user_id, cart.token_sha256.as_deref()))
}
