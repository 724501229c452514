//! What other systems are told, and which of it an endpoint wants.

use events::Event;
use serde_json::{Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::public::{PUBLIC_TYPES, public};
use crate::domain::Invalid;
use crate::store::webhooks::deliveries::Stored;

/// Types that one endpoint may name.
const TYPES_MAX: usize = 50;
/// The type of a message that an admin sends to try an endpoint. Nobody subscribes to it.
const TEST_TYPE: &str = "webhook.test";

/// RFC 3339 with milliseconds.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A message to other systems: thin, ids and little else. Whoever wants more asks the API, which knows what they may see.
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
    use events::Fact;
    use proto::events::v1::{PriceChanged, ProductUpdated};
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
    fn subscriptions_name_what_there_is() {
        let parse = |types: &[&str]| {
            Subscription::parse("events", types.iter().map(|name| (*name).to_owned()).collect())
        };
        for good in [
            "*",
            "product.*",
            "price.*",
            "order.*",
            "order.paid",
            "payment.*",
            "product.created",
            "price.changed",
        ] {
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
            "cart.*",
            "payment.unknown",
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
