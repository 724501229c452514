//! Which facts leave the house, and what of them.

use events::Fact;
use proto::events::v1::{OrderStatusChanged, PaymentFact};
use serde_json::{Value, json};

/// Every type there is; the contract with other systems.
pub(super) const PUBLIC_TYPES: [&str; 26] = [
    "product.created",
    "product.updated",
    "product.deleted",
    "price.changed",
    "stock.band_changed",
    "order.placed",
    "order.updated",
    "order.pending_payment",
    "order.paid",
    "order.processing",
    "order.shipped",
    "order.delivered",
    "order.cancelled",
    "order.payment_failed",
    "order.expired",
    "order.return_requested",
    "order.returned",
    "order.refunded",
    "order.partially_refunded",
    "payment.processing",
    "payment.requires_action",
    "payment.authorized",
    "payment.captured",
    "payment.failed",
    "payment.canceled",
    "payment.refunded",
];

/// The subjects of all public facts. What is about one thing is in one of them. Carts and counts of stock change all the
/// time and are nobody else's business: they are not read at all.
pub(super) const SUBJECTS: [&str; 4] =
    ["mc.catalog.>", "mc.orders.order.>", "mc.orders.payment.>", "mc.orders.stock.band_changed.>"];

/// The one place that decides what leaves the house. A new fact does not compile until somebody decides about it.
/// Ids, statuses and amounts only: neither who bought nor what else was said about it.
pub(super) fn public(fact: &Fact) -> Option<(&'static str, Value)> {
    let product = |id: i64| json!({ "product_id": id });
    match fact {
        Fact::ProductCreated(fact) => Some(("product.created", product(fact.product_id))),
        Fact::ProductUpdated(fact) => Some(("product.updated", product(fact.product_id))),
        Fact::ProductDeleted(fact) => Some(("product.deleted", product(fact.product_id))),
        Fact::PriceChanged(fact) => {
            Some(("price.changed", json!({ "product_id": fact.product_id, "variant_id": fact.variant_id })))
        }
        Fact::StockBandChanged(fact) => Some((
            "stock.band_changed",
            json!({ "product_id": fact.product_id, "variant_id": fact.variant_id, "band": fact.band }),
        )),
        Fact::OrderPlaced(fact) => Some((
            "order.placed",
            json!({
                "order_id": fact.order_id,
                "status": "pending_payment",
                "total_amount": fact.total_amount,
                "currency": fact.currency,
            }),
        )),
        Fact::OrderStatusChanged(fact) => order(fact),
        Fact::OrderUpdated(fact) => Some(("order.updated", json!({ "order_id": fact.order_id }))),
        Fact::PaymentChanged(fact) => payment(fact),
        // About people.
        Fact::UserRegistered(_)
        | Fact::UserLoggedIn(_)
        | Fact::UserUpdated(_)
        | Fact::UserDeleted(_)
        | Fact::UserRoleChanged(_)
        | Fact::AddressChanged(_)
        | Fact::AgendaEventCreated(_)
        | Fact::AgendaEventUpdated(_)
        | Fact::AgendaEventDeleted(_)
        | Fact::ProfessionalCreated(_)
        | Fact::ProfessionalUpdated(_)
        | Fact::ProfessionalDeleted(_)
        | Fact::ReportCreated(_)
        | Fact::ReportUpdated(_)
        | Fact::ReportDeleted(_)
        | Fact::NotificationCreated(_)
        | Fact::NotificationRead(_)
        | Fact::NotificationDeleted(_)
        | Fact::PreferencesChanged(_)
        | Fact::CartUpdated(_)
        | Fact::CartMerged(_)
        | Fact::CartExpired(_)
        | Fact::CartConverted(_) => None,
        // How many there are is the shop's secret; bands are for everybody.
        Fact::StockChanged(_) => None,
        // A shipment says what its order says; a code is for whom it was made; tables have no readers outside.
        Fact::ShipmentCreated(_)
        | Fact::ShipmentDelivered(_)
        | Fact::CouponChanged(_)
        | Fact::ShippingTableChanged(_) => None,
    }
}

fn order(fact: &OrderStatusChanged) -> Option<(&'static str, Value)> {
    let known = known("order", &fact.status)?;
    Some((known, json!({ "order_id": fact.order_id, "status": fact.status })))
}

/// What becomes of money. That a row was written or nobody knows is our own affair.
fn payment(fact: &PaymentFact) -> Option<(&'static str, Value)> {
    let known = known("payment", &fact.status)?;
    let data = json!({
        "payment_id": fact.payment_id,
        "order_id": fact.order_id,
        "status": fact.status,
        "amount": fact.amount,
    });
    Some((known, data))
}

/// The type so called, if there is one: a status of another version is nobody's business yet.
fn known(family: &str, verb: &str) -> Option<&'static str> {
    PUBLIC_TYPES.into_iter().find(|known| known.split_once('.') == Some((family, verb)))
}

#[cfg(test)]
mod tests {
    use events::Event;
    use proto::events::v1::{
        CartFact, OrderFact, OrderPlaced, PriceChanged, ProductCreated, ProductDeleted, ProductUpdated,
        ShipmentFact, StockBandChanged, StockChanged, UserFact,
    };
    use rls::Caller;
    use time::OffsetDateTime;

    use super::*;

    fn example(known: &str) -> Fact {
        match known.split_once('.').expect("a family and a verb") {
            ("product", "created") => Fact::ProductCreated(ProductCreated::default()),
            ("product", "updated") => Fact::ProductUpdated(ProductUpdated::default()),
            ("product", "deleted") => Fact::ProductDeleted(ProductDeleted::default()),
            ("price", "changed") => Fact::PriceChanged(PriceChanged::default()),
            ("stock", "band_changed") => Fact::StockBandChanged(StockBandChanged::default()),
            ("order", "placed") => Fact::OrderPlaced(OrderPlaced::default()),
            ("order", "updated") => Fact::OrderUpdated(OrderFact::default()),
            ("order", status) => {
                Fact::OrderStatusChanged(OrderStatusChanged { status: status.into(), ..Default::default() })
            }
            ("payment", status) => {
                Fact::PaymentChanged(PaymentFact { status: status.into(), ..Default::default() })
            }
            missing => panic!("an example of {missing:?} is missing here"),
        }
    }

    #[test]
    fn every_public_fact_is_read_and_becomes_its_type() {
        for known in PUBLIC_TYPES {
            let fact = example(known);
            assert_eq!(public(&fact).map(|(named, _)| named), Some(known));
            let event = Event::new(&Caller::Service, OffsetDateTime::UNIX_EPOCH, 1, fact);
            let read = SUBJECTS.iter().any(|subjects| {
                event.subject().starts_with(subjects.strip_suffix('>').expect("all that begin so"))
            });
            assert!(read, "{} is not read", event.subject());
        }
    }

    #[test]
    fn of_an_order_and_its_payment_go_ids_statuses_and_amounts() {
        let placed = OrderPlaced {
            order_id: 17,
            user_id: Some(41),
            total_amount: 12_905,
            currency: "BRL".into(),
            cart_token_sha256: Some("ab".repeat(32)),
            ..Default::default()
        };
        let expected = json!({
            "order_id": 17, "status": "pending_payment", "total_amount": 12_905, "currency": "BRL",
        });
        assert_eq!(public(&Fact::OrderPlaced(placed)), Some(("order.placed", expected)));
        let paid = OrderStatusChanged {
            order_id: 17,
            user_id: Some(41),
            old_status: "pending_payment".into(),
            status: "paid".into(),
            ..Default::default()
        };
        let expected = json!({ "order_id": 17, "status": "paid" });
        assert_eq!(public(&Fact::OrderStatusChanged(paid)), Some(("order.paid", expected)));
        let captured = PaymentFact {
            payment_id: "p".into(),
            order_id: 17,
            user_id: Some(41),
            amount: 12_905,
            status: "captured".into(),
            failure_code: Some("none".into()),
        };
        let expected = json!({ "payment_id": "p", "order_id": 17, "status": "captured", "amount": 12_905 });
        assert_eq!(public(&Fact::PaymentChanged(captured)), Some(("payment.captured", expected)));
        let band =
            StockBandChanged { variant_id: 9, product_id: 5, old_band: "in".into(), band: "low".into() };
        let expected = json!({ "product_id": 5, "variant_id": 9, "band": "low" });
        assert_eq!(public(&Fact::StockBandChanged(band)), Some(("stock.band_changed", expected)));
    }

    #[test]
    fn people_counts_and_inner_states_are_nobodys_business() {
        let status = |status: &str| PaymentFact { status: status.into(), ..Default::default() };
        let order = OrderStatusChanged { status: "on_the_moon".into(), ..Default::default() };
        for fact in [
            Fact::UserRegistered(UserFact { user_id: 1 }),
            Fact::CartUpdated(CartFact::default()),
            Fact::StockChanged(StockChanged::default()),
            Fact::ShipmentCreated(ShipmentFact::default()),
            Fact::PaymentChanged(status("created")),
            Fact::PaymentChanged(status("unknown")),
            Fact::OrderStatusChanged(order),
        ] {
            assert_eq!(public(&fact), None, "{fact:?}");
        }
    }
}
