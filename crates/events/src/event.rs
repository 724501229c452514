//! One mutation as a fact: what the outbox stores and the stream carries.

use prost::Message as _;
use proto::events::v1::event::Fact;
use proto::events::v1::{self, Actor};
use rls::Caller;
use time::OffsetDateTime;
use uuid::Uuid;

/// A mutation event. Built once, by the producer, in the transaction that made it true.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    id: Uuid,
    time: OffsetDateTime,
    actor: Actor,
    version: i64,
    fact: Fact,
}

/// What an event is about. `(kind, id, version)` is unique, and events of one aggregate stay in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// The family of events, such as `product`.
    pub kind: &'static str,
    /// Which one.
    pub id: String,
    /// Its version after the mutation.
    pub version: i64,
}

/// Bytes that are no event this version knows.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableEvent {
    /// Not protobuf.
    #[error("event is not protobuf")]
    Encoding(#[from] prost::DecodeError),
    /// The id is no UUID.
    #[error("event has no valid id")]
    Id(#[from] uuid::Error),
    /// A part that every event has is missing; a newer fact than this version knows looks like this.
    #[error("event has no {0}")]
    Missing(&'static str),
}

impl Event {
    /// The event that `caller` caused `fact` at `now`; `version` is the aggregate's version after it.
    pub fn new(caller: &Caller, now: OffsetDateTime, version: i64, fact: Fact) -> Self {
        let actor = Actor { id: caller.id(), role: caller.role().to_owned() };
        Self { id: Uuid::now_v7(), time: now, actor, version, fact }
    }

    /// The event's time-ordered id; also the id of its outbox row, its message and its purge.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// When it happened.
    pub fn time(&self) -> OffsetDateTime {
        self.time
    }

    /// What happened.
    pub fn fact(&self) -> &Fact {
        &self.fact
    }

    /// What it happened to.
    pub fn aggregate(&self) -> Aggregate {
        let (kind, id) = match &self.fact {
            Fact::ProductCreated(fact) => ("product", fact.product_id),
            Fact::ProductUpdated(fact) => ("product", fact.product_id),
            Fact::ProductDeleted(fact) => ("product", fact.product_id),
            Fact::PriceChanged(fact) => ("price", fact.variant_id),
            Fact::UserRegistered(fact) | Fact::UserDeleted(fact) => ("user", fact.user_id),
            Fact::UserUpdated(fact) => ("user", fact.user_id),
            Fact::UserRoleChanged(fact) => ("user", fact.user_id),
            Fact::UserLoggedIn(fact) => return self.named("session", &fact.session_id),
            Fact::AddressChanged(fact) => ("address", fact.address_id),
            Fact::AgendaEventCreated(fact)
            | Fact::AgendaEventUpdated(fact)
            | Fact::AgendaEventDeleted(fact) => ("event", fact.event_id),
            Fact::ProfessionalCreated(fact)
            | Fact::ProfessionalUpdated(fact)
            | Fact::ProfessionalDeleted(fact) => ("professional", fact.professional_id),
            Fact::ReportCreated(fact) | Fact::ReportUpdated(fact) | Fact::ReportDeleted(fact) => {
                ("report", fact.report_id)
            }
            Fact::NotificationCreated(fact)
            | Fact::NotificationRead(fact)
            | Fact::NotificationDeleted(fact) => ("feed", fact.user_id),
            Fact::PreferencesChanged(fact) => ("preferences", fact.user_id),
            Fact::StockChanged(fact) => ("stock", fact.variant_id),
            Fact::StockBandChanged(fact) => ("stock_band", fact.variant_id),
            Fact::OrderPlaced(fact) => ("order", fact.order_id),
            Fact::OrderStatusChanged(fact) => ("order", fact.order_id),
            Fact::OrderUpdated(fact) => ("order", fact.order_id),
            Fact::ShipmentCreated(fact) | Fact::ShipmentDelivered(fact) => ("shipment", fact.shipment_id),
            Fact::CartUpdated(fact) | Fact::CartExpired(fact) | Fact::CartConverted(fact) => {
                return self.named("cart", &fact.cart_id);
            }
            Fact::CartMerged(fact) => return self.named("cart", &fact.cart_id),
            Fact::PaymentChanged(fact) => return self.named("payment", &fact.payment_id),
            Fact::CouponChanged(fact) => return self.named("coupon", &fact.code),
            Fact::ShippingTableChanged(_) => return self.named("shipping_table", "1"),
        };
        Aggregate { kind, id: id.to_string(), version: self.version }
    }

    fn named(&self, kind: &'static str, id: &str) -> Aggregate {
        Aggregate { kind, id: id.to_owned(), version: self.version }
    }

    /// The NATS subject, `mc.<service>.<aggregate>.<verb>.<id>`.
    pub fn subject(&self) -> String {
        let named = |name: &str, id: &str| format!("mc.orders.{name}.{id}");
        let (name, id) = match &self.fact {
            Fact::ProductCreated(fact) => ("catalog.product.created", fact.product_id),
            Fact::ProductUpdated(fact) => ("catalog.product.updated", fact.product_id),
            Fact::ProductDeleted(fact) => ("catalog.product.deleted", fact.product_id),
            Fact::PriceChanged(fact) => ("catalog.price.changed", fact.variant_id),
            Fact::UserRegistered(fact) => ("accounts.user.registered", fact.user_id),
            Fact::UserLoggedIn(fact) => ("accounts.user.logged_in", fact.user_id),
            Fact::UserUpdated(fact) => ("accounts.user.updated", fact.user_id),
            Fact::UserDeleted(fact) => ("accounts.user.deleted", fact.user_id),
            Fact::UserRoleChanged(fact) => ("accounts.user.role_changed", fact.user_id),
            Fact::AddressChanged(fact) => ("accounts.address.changed", fact.address_id),
            Fact::AgendaEventCreated(fact) => ("agenda.event.created", fact.event_id),
            Fact::AgendaEventUpdated(fact) => ("agenda.event.updated", fact.event_id),
            Fact::AgendaEventDeleted(fact) => ("agenda.event.deleted", fact.event_id),
            Fact::ProfessionalCreated(fact) => ("agenda.professional.created", fact.professional_id),
            Fact::ProfessionalUpdated(fact) => ("agenda.professional.updated", fact.professional_id),
            Fact::ProfessionalDeleted(fact) => ("agenda.professional.deleted", fact.professional_id),
            Fact::ReportCreated(fact) => ("agenda.report.created", fact.report_id),
            Fact::ReportUpdated(fact) => ("agenda.report.updated", fact.report_id),
            Fact::ReportDeleted(fact) => ("agenda.report.deleted", fact.report_id),
            // Followers filter by whose feed it is.
            Fact::NotificationCreated(fact) => ("notifications.notification.created", fact.user_id),
            Fact::NotificationRead(fact) => ("notifications.notification.read", fact.user_id),
            Fact::NotificationDeleted(fact) => ("notifications.notification.deleted", fact.user_id),
            Fact::PreferencesChanged(fact) => ("notifications.prefs.changed", fact.user_id),
            Fact::StockChanged(fact) => ("orders.stock.changed", fact.variant_id),
            Fact::StockBandChanged(fact) => ("orders.stock.band_changed", fact.variant_id),
            Fact::OrderPlaced(fact) => ("orders.order.placed", fact.order_id),
            Fact::OrderStatusChanged(fact) => {
                return named(&format!("order.{}", token(&fact.status)), &fact.order_id.to_string());
            }
            Fact::OrderUpdated(fact) => ("orders.order.updated", fact.order_id),
            Fact::ShipmentCreated(fact) => ("orders.shipment.created", fact.shipment_id),
            Fact::ShipmentDelivered(fact) => ("orders.shipment.delivered", fact.shipment_id),
            Fact::CartUpdated(fact) => return named("cart.updated", token(&fact.cart_id)),
            Fact::CartMerged(fact) => return named("cart.merged", token(&fact.cart_id)),
            Fact::CartExpired(fact) => return named("cart.expired", token(&fact.cart_id)),
            Fact::CartConverted(fact) => return named("cart.converted", token(&fact.cart_id)),
            Fact::PaymentChanged(fact) => {
                return named(&format!("payment.{}", token(&fact.status)), token(&fact.payment_id));
            }
            Fact::CouponChanged(fact) => return named("coupon.changed", token(&fact.code)),
            Fact::ShippingTableChanged(_) => return named("shipping_table.changed", "1"),
        };
        format!("mc.{name}.{id}")
    }

    /// The event as protobuf, `mestres.events.v1.Event`.
    pub fn encode(&self) -> Vec<u8> {
        let aggregate = self.aggregate();
        let message = v1::Event {
            id: self.id.to_string(),
            time: Some(prost_types::Timestamp {
                seconds: self.time.unix_timestamp(),
                nanos: i32::try_from(self.time.nanosecond()).expect("less than a billion nanoseconds"),
            }),
            actor: Some(self.actor.clone()),
            aggregate: Some(v1::Aggregate {
                r#type: aggregate.kind.to_owned(),
                id: aggregate.id,
                version: aggregate.version,
            }),
            fact: Some(self.fact.clone()),
        };
        message.encode_to_vec()
    }

    /// Reads an event.
    ///
    /// # Errors
    /// When the bytes are no event, or one that this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, UnreadableEvent> {
        let message = v1::Event::decode(bytes)?;
        let stamp = message.time.ok_or(UnreadableEvent::Missing("time"))?;
        let nanos = i128::from(stamp.seconds) * 1_000_000_000 + i128::from(stamp.nanos);
        let time = OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .map_err(|_out_of_range| UnreadableEvent::Missing("time in range"))?;
        Ok(Self {
            id: message.id.parse()?,
            time,
            actor: message.actor.ok_or(UnreadableEvent::Missing("actor"))?,
            version: message.aggregate.ok_or(UnreadableEvent::Missing("aggregate"))?.version,
            fact: message.fact.ok_or(UnreadableEvent::Missing("known fact"))?,
        })
    }
}

/// `text` when it can be one token of a subject.
fn token(text: &str) -> &str {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fits { text } else { "other" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::events::v1::{CategoryPath, PriceChanged, ProductCreated, ProductDeleted, ProductUpdated};
    use rls::UserId;

    use super::*;

    fn path() -> impl Strategy<Value = Option<CategoryPath>> {
        proptest::option::of(
            proptest::collection::vec(1..1_000_000_i64, 0..6).prop_map(|ids| CategoryPath { ids }),
        )
    }

    fn fact() -> impl Strategy<Value = Fact> {
        let slug = "[a-z0-9-]{1,40}";
        prop_oneof![
            (any::<i64>(), slug, path(), any::<bool>()).prop_map(
                |(product_id, slug, category, is_active)| {
                    Fact::ProductCreated(ProductCreated {
                        product_id,
                        slug,
                        category,
                        is_active,
                        is_featured: !is_active,
                    })
                }
            ),
            (any::<i64>(), slug, slug, path(), path()).prop_map(
                |(product_id, old_slug, slug, old_category, category)| {
                    Fact::ProductUpdated(ProductUpdated {
                        product_id,
                        old_slug,
                        slug,
                        old_category,
                        category,
                        changed: vec!["name".to_owned()],
                        ..ProductUpdated::default()
                    })
                }
            ),
            (any::<i64>(), slug, path()).prop_map(|(product_id, slug, category)| {
                Fact::ProductDeleted(ProductDeleted { product_id, slug, category, ..Default::default() })
            }),
            (any::<i64>(), any::<i64>(), any::<i64>()).prop_map(|(product_id, variant_id, amount)| {
                Fact::PriceChanged(PriceChanged { product_id, variant_id, amount, ..Default::default() })
            }),
        ]
    }

    proptest! {
        #[test]
        fn an_event_survives_its_encoding(fact in fact(), version in any::<i64>(), at in 0..4_000_000_000_i64) {
            let now = OffsetDateTime::from_unix_timestamp(at).expect("in range");
            let event = Event::new(&Caller::Admin(UserId(7)), now, version, fact);
            prop_assert_eq!(Event::decode(&event.encode()).expect("just encoded"), event);
        }

        #[test]
        fn foreign_bytes_are_refused_not_trusted(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            // Whatever comes: an answer, never a panic.
            let _answer = Event::decode(&bytes);
        }
    }

    #[test]
    fn a_fact_of_a_newer_version_is_unreadable() {
        let event = Event::new(
            &Caller::Service,
            OffsetDateTime::UNIX_EPOCH,
            1,
            Fact::PriceChanged(PriceChanged::default()),
        );
        let mut message = v1::Event::decode(&*event.encode()).expect("just encoded");
        message.fact = None;
        // Field 999, as a newer producer would write it.
        let mut bytes = message.encode_to_vec();
        prost::encoding::string::encode(999, &"new".to_owned(), &mut bytes);
        assert!(matches!(Event::decode(&bytes), Err(UnreadableEvent::Missing("known fact"))));
    }

    #[test]
    fn subjects_end_in_the_id() {
        let event = Event::new(
            &Caller::Service,
            OffsetDateTime::UNIX_EPOCH,
            3,
            Fact::PriceChanged(PriceChanged { product_id: 1, variant_id: 42, ..Default::default() }),
        );
        assert_eq!(event.subject(), "mc.catalog.price.changed.42");
        assert_eq!(event.aggregate(), Aggregate { kind: "price", id: "42".to_owned(), version: 3 });
    }

    #[test]
    fn facts_of_orders_have_their_aggregates_and_subjects() {
        use proto::events::v1::{
            CartFact, CartMerged, CouponChanged, OrderFact, OrderPlaced, OrderStatusChanged, PaymentFact,
            ShipmentFact, ShippingTableChanged, StockBandChanged, StockChanged,
        };

        #[track_caller]
        fn check(fact: Fact, kind: &str, id: &str, subject: &str) {
            let event = Event::new(&Caller::Service, OffsetDateTime::UNIX_EPOCH, 9, fact);
            let aggregate = event.aggregate();
            assert_eq!((aggregate.kind, aggregate.id.as_str(), aggregate.version), (kind, id, 9));
            assert_eq!(event.subject(), subject);
            assert_eq!(Event::decode(&event.encode()).expect("just encoded"), event);
        }

        let stock = StockChanged { variant_id: 5, product_id: 4, on_hand: 9, reserved: 2 };
        check(Fact::StockChanged(stock), "stock", "5", "mc.orders.stock.changed.5");
        // Its versions are counted apart: most changes of stock change no band.
        let band = StockBandChanged { variant_id: 5, product_id: 4, ..Default::default() };
        check(Fact::StockBandChanged(band), "stock_band", "5", "mc.orders.stock.band_changed.5");

        let cart = CartFact { cart_id: "c-1".to_owned(), user_id: Some(7), token_sha256: None };
        check(Fact::CartUpdated(cart.clone()), "cart", "c-1", "mc.orders.cart.updated.c-1");
        check(Fact::CartExpired(cart.clone()), "cart", "c-1", "mc.orders.cart.expired.c-1");
        check(Fact::CartConverted(cart), "cart", "c-1", "mc.orders.cart.converted.c-1");
        let merged = CartMerged { cart_id: "c-1".to_owned(), ..Default::default() };
        check(Fact::CartMerged(merged), "cart", "c-1", "mc.orders.cart.merged.c-1");

        let placed = OrderPlaced { order_id: 42, ..Default::default() };
        check(Fact::OrderPlaced(placed), "order", "42", "mc.orders.order.placed.42");
        for status in ["paid", "shipped", "payment_failed", "partially_refunded", "pending_payment"] {
            let moved = OrderStatusChanged { order_id: 42, status: status.to_owned(), ..Default::default() };
            check(Fact::OrderStatusChanged(moved), "order", "42", &format!("mc.orders.order.{status}.42"));
        }
        let updated = OrderFact { order_id: 42, ..Default::default() };
        check(Fact::OrderUpdated(updated), "order", "42", "mc.orders.order.updated.42");

        for status in ["created", "requires_action", "captured", "unknown"] {
            let payment =
                PaymentFact { payment_id: "p-1".to_owned(), status: status.to_owned(), ..Default::default() };
            let subject = format!("mc.orders.payment.{status}.p-1");
            check(Fact::PaymentChanged(payment), "payment", "p-1", &subject);
        }
        let shipment = ShipmentFact { shipment_id: 3, order_id: 42, ..Default::default() };
        check(Fact::ShipmentCreated(shipment.clone()), "shipment", "3", "mc.orders.shipment.created.3");
        check(Fact::ShipmentDelivered(shipment), "shipment", "3", "mc.orders.shipment.delivered.3");
        let coupon = CouponChanged { code: "CAFE10".to_owned() };
        check(Fact::CouponChanged(coupon), "coupon", "CAFE10", "mc.orders.coupon.changed.CAFE10");
        let table = ShippingTableChanged { version: 9 };
        check(Fact::ShippingTableChanged(table), "shipping_table", "1", "mc.orders.shipping_table.changed.1");

        // What would split the subject, or match every subject, does not get into it.
        let odd = CouponChanged { code: "10.*>".to_owned() };
        check(Fact::CouponChanged(odd), "coupon", "10.*>", "mc.orders.coupon.changed.other");
    }
}
