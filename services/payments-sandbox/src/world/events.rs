//! What happened, as it was told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::intent::{Act, Fact, new_id};

/// The version whose shapes are spoken, and the only one: who asks for another one is refused.
pub(crate) const API_VERSION: &str = "2024-06-20";

/// More than anybody looks back; afterwards the oldest is forgotten.
const EVENTS_MAX: usize = 100_000;

/// One event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) serial: u64,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) created: i64,
    /// Kept as text: as values, many events would need several times the memory.
    pub(crate) object: Box<RawValue>,
    pub(crate) order_id: Option<String>,
    /// What names its intent in every run.
    pub(crate) subject: String,
    pub(crate) key: Option<String>,
    /// Copies that have still to be sent.
    pub(crate) pending: u32,
}

/// Events by their order.
#[derive(Debug, Default)]
pub(crate) struct Events(BTreeMap<u64, Event>);

impl Event {
    pub(crate) fn new(
        serial: u64,
        fact: Fact,
        order_id: Option<String>,
        subject: String,
        act: &Act<'_>,
    ) -> Self {
        Self {
            serial,
            id: new_id("evt"),
            kind: fact.kind.to_owned(),
            created: act.seconds(),
            object: serde_json::value::to_raw_value(&fact.object).expect("a value is JSON"),
            order_id,
            subject,
            key: act.key.map(str::to_owned),
            pending: 0,
        }
    }

    /// The event as the provider tells it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "object": "event",
            "api_version": API_VERSION,
            "created": self.created,
            "data": { "object": self.object },
            "livemode": false,
            "pending_webhooks": self.pending,
            "request": { "id": null, "idempotency_key": self.key },
            "type": self.kind,
        })
    }
}

impl Events {
    pub(crate) fn put(&mut self, event: Event) {
        self.0.insert(event.serial, event);
        if self.0.len() > EVENTS_MAX {
            self.0.pop_first();
        }
    }

    pub(crate) fn get(&self, serial: u64) -> Option<&Event> {
        self.0.get(&serial)
    }

    /// Those after `serial`, oldest first.
    pub(crate) fn after(&self, serial: u64) -> impl Iterator<Item = &Event> {
        self.0.range(serial.saturating_add(1)..).map(|(_, event)| event)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Event> {
        self.0.values()
    }

    /// Those of which copies have still to be sent.
    pub(crate) fn undelivered(&self) -> impl Iterator<Item = &Event> {
        self.0.values().filter(|event| event.pending > 0)
    }

    /// Counts one copy less; false when there was none left.
    pub(crate) fn delivered(&mut self, serial: u64) -> bool {
        let Some(event) = self.0.get_mut(&serial).filter(|event| event.pending > 0) else { return false };
        event.pending -= 1;
        true
    }
}
