//! What other systems are told, and which of it an endpoint wants.

use events::{Event, Fact};
use serde_json::{Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::domain::Invalid;
use crate::store::webhooks::deliveries::Stored;

/// Types that one endpoint may name.
const TYPES_MAX: usize = 50;
/// Every type there is; the contract with other systems.
const PUBLIC_TYPES: [&str; 4] = ["product.created", "product.updated", "product.deleted", "price.changed"];
/// What the subjects of all public facts begin with.
pub(crate) const SUBJECTS: &str = "mc.catalog.>";
/// The type of a message that an admin sends to try an endpoint. Nobody subscribes to it.
const TEST_TYPE: &str = "webhook.test";

/// RFC 3339 with milliseconds.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A message to other systems: thin, ids only. Whoever wants more asks the API, which knows what they may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The event's id: the same for every attempt and every endpoint.
    pub(crate) id: Uuid,
    pub(crate) r#type: &'static str,
    /// Messages about the same thing to the same endpoint stay in the order of their versions.
    pub(crate) aggregate: &'static str,
    pub(crate) aggregate_id: String,
    pub(crate) aggregate_version: i64,
    /// JSON; kept as it is, so that every attempt sends the same bytes.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The message that an event becomes; `None` when it is nobody's business outside.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let (r#type, data) = public(event.fact())?;
        let aggregate = event.aggregate();
        Some(Self {
            id: event.id(),
            r#type,
            aggregate: aggregate.kind,
            aggregate_id: aggregate.id,
            aggregate_version: aggregate.version,
            body: body(r#type, event.time(), &data),
        })
    }

    /// A message that says nothing but that it arrived.
    pub(crate) fn test(endpoint_id: i64, now: OffsetDateTime) -> Self {
        let id = Uuid::now_v7();
        Self {
            id,
            r#type: TEST_TYPE,
            aggregate: "webhook_test",
            aggregate_id: id.to_string(),
            aggregate_version: 1,
            body: body(TEST_TYPE, now, &json!({ "endpoint_id": endpoint_id })),
        }
    }

    /// As it is kept.
    pub(crate) fn stored(&self) -> Stored<'_> {
        Stored {
            event_id: self.id,
            r#type: self.r#type,
            aggregate: self.aggregate,
            aggregate_id: &self.aggregate_id,
            aggregate_version: self.aggregate_version,
            body: &self.body,
        }
    }

    /// What an endpoint has to name to be sent this: the type, its family, or everything.
    pub(crate) fn patterns(&self) -> Vec<String> {
        vec![self.r#type.to_owned(), format!("{}.*", family(self.r#type)), "*".to_owned()]
    }
}

/// The one place that decides what leaves the house. A new fact does not compile until somebody decides about it.
fn public(fact: &Fact) -> Option<(&'static str, Value)> {
    let product = |id: i64| json!({ "product_id": id });
    match fact {
        Fact::ProductCreated(fact) => Some(("product.created", product(fact.product_id))),
        Fact::ProductUpdated(fact) => Some(("product.updated", product(fact.product_id))),
        Fact::ProductDeleted(fact) => Some(("product.deleted", product(fact.product_id))),
        Fact::PriceChanged(fact) => {
            Some(("price.changed", json!({ "product_id": fact.product_id, "variant_id": fact.variant_id })))
        }
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
        | Fact::PreferencesChanged(_) => None,
        Fact::StockChanged(_)
        | Fact::StockBandChanged(_)
        | Fact::CartUpdated(_)
        | Fact::CartMerged(_)
        | Fact::CartExpired(_)
        | Fact::CartConverted(_)
        | Fact::OrderPlaced(_)
        | Fact::OrderStatusChanged(_)
        | Fact::OrderUpdated(_)
        | Fact::PaymentChanged(_)
        | Fact::ShipmentCreated(_)
        | Fact::ShipmentDelivered(_)
        | Fact::CouponChanged(_)
        | Fact::ShippingTableChanged(_) => None,
    }
}

fn body(r#type: &str, time: OffsetDateTime, data: &Value) -> Vec<u8> {
    let timestamp = time.to_offset(UtcOffset::UTC).format(&TIMESTAMP).expect("a time has all of these parts");
    json!({ "type": r#type, "timestamp": timestamp, "data": data }).to_string().into_bytes()
}

fn family(r#type: &str) -> &str {
    r#type.split_once('.').map_or(r#type, |(family, _)| family)
}

/// What an endpoint wants: types, families such as `product.*`, or `*`. Sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription(Vec<String>);

impl Subscription {
    /// 1 to 50 of the types that there are: a misspelt one would wait for ever.
    pub(crate) fn parse(field: &str, types: Vec<String>) -> Result<Self, Invalid> {
        if !(1..=TYPES_MAX).contains(&types.len()) {
            return Err(Invalid::value(field, format!("must name 1 to {TYPES_MAX} event types")));
        }
        let unknown = types.iter().position(|wanted| {
            let is_family = wanted
                .strip_suffix(".*")
                .is_some_and(|wanted| PUBLIC_TYPES.iter().any(|known| family(known) == wanted));
            !(wanted == "*" || is_family || PUBLIC_TYPES.contains(&wanted.as_str()))
        });
        if let Some(index) = unknown {
            let detail =
                format!("must be `*`, a family such as `product.*`, or one of {}", PUBLIC_TYPES.join(", "));
            return Err(Invalid::value(format!("{field}[{index}]"), detail));
        }
        let mut types = types;
        types.sort_unstable();
        types.dedup();
        Ok(Self(types))
    }

    pub(crate) fn types(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proto::events::v1::{PriceChanged, ProductCreated, ProductDeleted, ProductUpdated, UserFact};
    use rls::Caller;

    use super::*;

    fn message(fact: Fact) -> Option<Message> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_795_000_000_123_456_789).expect("in range");
        Message::of(&Event::new(&Caller::Service, at, 7, fact))
    }

    #[test]
    fn a_message_holds_ids_and_nothing_else() {
        let fact = ProductUpdated {
            product_id: 5,
            slug: "novo".into(),
            old_slug: "velho".into(),
            ..Default::default()
        };
        let updated = message(Fact::ProductUpdated(fact)).expect("public");
        let body: Value = serde_json::from_slice(&updated.body).expect("JSON");
        let expected = json!({
            "type": "product.updated", "timestamp": "2026-11-18T11:06:40.123Z", "data": { "product_id": 5 }
        });
        assert_eq!(body, expected);
        assert_eq!(updated.patterns(), ["product.updated", "product.*", "*"]);
        assert_eq!(
            (updated.aggregate, &*updated.aggregate_id, updated.aggregate_version),
            ("product", "5", 7)
        );

        let fact =
            PriceChanged { product_id: 5, variant_id: 9, amount: 1, old_amount: 2, ..Default::default() };
        let changed = message(Fact::PriceChanged(fact)).expect("public");
        let body: Value = serde_json::from_slice(&changed.body).expect("JSON");
        assert_eq!(body["data"], json!({ "product_id": 5, "variant_id": 9 }));
    }

    #[test]
    fn every_public_fact_is_read_and_becomes_its_type() {
        for known in PUBLIC_TYPES {
            let fact = match known {
                "product.created" => Fact::ProductCreated(ProductCreated::default()),
                "product.updated" => Fact::ProductUpdated(ProductUpdated::default()),
                "product.deleted" => Fact::ProductDeleted(ProductDeleted::default()),
                "price.changed" => Fact::PriceChanged(PriceChanged::default()),
                missing => panic!("an example of {missing} is missing here"),
            };
            let event = Event::new(&Caller::Service, OffsetDateTime::UNIX_EPOCH, 1, fact);
            let read = SUBJECTS.strip_suffix('>').expect("all that begin so");
            assert!(event.subject().starts_with(read), "{} is not read", event.subject());
            assert_eq!(Message::of(&event).map(|message| message.r#type), Some(known));
        }
    }

    #[test]
    fn people_are_nobodys_business() {
        assert_eq!(message(Fact::UserRegistered(UserFact { user_id: 1 })), None);
    }

    #[test]
    fn subscriptions_name_what_there_is() {
        let parse = |types: &[&str]| {
            Subscription::parse("events", types.iter().map(|name| (*name).to_owned()).collect())
        };
        for good in ["*", "product.*", "price.*", "product.created", "price.changed"] {
            assert_eq!(parse(&[good]).expect(good).types(), [good]);
        }
        for bad in [
            "",
            "product",
            "product.",
            "prod*",
            "**",
            "user.*",
            "user.registered",
            "webhook.test",
            "PRODUCT.*",
        ] {
            assert_eq!(parse(&["*", bad]).expect_err(bad).field, "events[1]");
        }
        assert_eq!(parse(&["product.*", "*", "*"]).expect("known").types(), ["*", "product.*"]);
        assert!(parse(&[]).is_err());
        assert!(parse(&["*"; 50]).is_ok());
        assert!(parse(&["*"; 51]).is_err());
    }

    #[test]
    fn every_public_type_has_a_family_of_its_own_name() {
        for known in PUBLIC_TYPES {
            assert!(
                known.split_once('.').is_some_and(|(family, verb)| !family.is_empty() && !verb.is_empty())
            );
        }
    }
}
