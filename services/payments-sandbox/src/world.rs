//! Everything the provider knows: intents, keys, events, and what has still to happen.

mod deliveries;
mod events;
mod keys;
mod ledger;
mod lists;
mod record;

pub(crate) use deliveries::{Delivery, Sending};
pub(crate) use events::{API_VERSION, Event};
pub(crate) use keys::{Claim, Result as KeptResult};
pub(crate) use lists::{Page, Query};
pub(crate) use record::Record;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::deliveries::Deliveries;
use self::events::Events;
use self::keys::Keys;
use crate::chance::Chance;
use crate::error::Refusal;
use crate::intent::{Act, Fact, Intent};
use crate::journal::Journal;
use crate::knobs::Knobs;

/// More than any run makes; afterwards the sandbox refuses instead of growing.
const INTENTS_MAX: usize = 250_000;

/// The whole state. Changed under one lock, without waiting.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) knobs: Knobs,
    pub(crate) chance: Chance,
    pub(crate) keys: Keys,
    pub(crate) events: Events,
    pub(crate) deliveries: Deliveries,
    serial: u64,
    intents: BTreeMap<u64, Intent>,
    by_id: HashMap<String, u64>,
    by_order: HashMap<String, Vec<u64>>,
    /// Intents in the order of what happens to them by themselves.
    due: BTreeSet<(i64, u64)>,
    refund_orders: BTreeMap<u64, u64>,
    journal: Option<Journal>,
    /// What the journal has not been told yet.
    unsaved: Vec<Record>,
}

impl World {
    /// The world as a journal remembers it.
    pub(crate) fn remembered(mut journal: Journal, now_ms: i64) -> Result<Self, std::io::Error> {
        let mut world = Self::default();
        journal.replay(|record| world.apply(record))?;
        world.deliveries.resume(world.events.undelivered(), now_ms);
        journal.compact(world.snapshot())?;
        world.journal = Some(journal);
        Ok(world)
    }

    /// The next place in every order.
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn intent(&self, id: &str) -> Option<&Intent> {
        self.intents.get(self.by_id.get(id)?)
    }

    /// The intent that a charge belongs to.
    pub(crate) fn intent_of_charge(&self, charge: &str) -> Option<&Intent> {
        self.intents.values().find(|intent| intent.charges.iter().any(|each| each.id == charge))
    }

    /// There is room for one more.
    pub(crate) fn room(&self) -> Result<(), Refusal> {
        if self.intents.len() < INTENTS_MAX { Ok(()) } else { Err(Refusal::too_many()) }
    }

    /// Keeps a changed intent and tells what happened.
    pub(crate) fn keep(&mut self, intent: Intent, facts: Vec<Fact>, act: &Act<'_>) {
        self.unsaved.push(Record::Intent(Box::new(intent.clone())));
        let subject = intent.subject().to_owned();
        let order_id = intent.order_id().map(str::to_owned);
        self.put(intent);
        for fact in facts {
            let serial = self.next_serial();
            let mut event = Event::new(serial, fact, order_id.clone(), subject.clone(), act);
            self.deliveries.plan(&mut event, &self.knobs, &mut self.chance, act.now_ms);
            self.unsaved.push(Record::Event(Box::new(event.clone())));
            self.events.put(event);
        }
    }

    /// Keeps the first result of a key.
    pub(crate) fn keep_result(&mut self, key: &str, result: KeptResult) {
        self.unsaved.push(Record::Key { key: key.to_owned(), result: result.clone() });
        self.keys.put(key, result);
    }

    /// Other knobs from now on.
    pub(crate) fn set_knobs(&mut self, knobs: Knobs) {
        // Luck is counted from the beginning, so that the same knobs mean the same run.
        self.chance = Chance::default();
        self.knobs = knobs.clone();
        self.unsaved.push(Record::Knobs(Box::new(knobs)));
    }

    /// Forgets everything, also the knobs.
    pub(crate) fn reset(&mut self) {
        let journal = self.journal.take();
        let serial = self.serial;
        *self = Self { journal, serial, ..Self::default() };
        self.unsaved.push(Record::Reset);
    }

    /// One more copy of an event needs not be sent any more.
    pub(crate) fn delivered(&mut self, event: u64) {
        if self.events.delivered(event) {
            self.unsaved.push(Record::Delivered(event));
        }
    }

    /// The intents whose time has come.
    pub(crate) fn take_due(&mut self, now_ms: i64) -> Vec<Intent> {
        let due: Vec<u64> = self.due.range(..=(now_ms, u64::MAX)).map(|(_, serial)| *serial).collect();
        due.iter().filter_map(|serial| self.intents.get(serial).cloned()).collect()
    }

    /// When something has to be done next, in milliseconds.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        let intents = self.due.first().map(|(at, _)| *at);
        [intents, self.deliveries.next_due_ms()].into_iter().flatten().min()
    }

    /// Tells the journal what changed; called before anybody hears of it.
    pub(crate) fn save(&mut self) {
        let unsaved = std::mem::take(&mut self.unsaved);
        let Some(mut journal) = self.journal.take() else { return };
        if !unsaved.is_empty() {
            let kept = journal
                .append(&unsaved)
                .and_then(|()| if journal.is_wasteful() { journal.compact(self.snapshot()) } else { Ok(()) });
            if let Err(error) = kept {
                tracing::error!(%error, "the state file cannot be written: a kill would lose what happened");
            }
        }
        self.journal = Some(journal);
    }

    fn put(&mut self, intent: Intent) {
        let serial = intent.serial;
        self.serial = self.serial.max(serial);
        if let Some(before) = self.intents.get(&serial) {
            if let Some(at) = before.due_ms {
                self.due.remove(&(at, serial));
            }
        } else {
            self.by_id.insert(intent.id.clone(), serial);
            if let Some(order) = intent.order_id() {
                self.by_order.entry(order.to_owned()).or_default().push(serial);
            }
        }
        if let Some(at) = intent.due_ms {
            self.due.insert((at, serial));
        }
        for refund in &intent.refunds {
            self.serial = self.serial.max(refund.serial);
            self.refund_orders.insert(refund.serial, serial);
        }
        self.intents.insert(serial, intent);
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Intent(intent) => self.put(*intent),
            Record::Event(event) => {
                self.serial = self.serial.max(event.serial);
                self.events.put(*event);
            }
            Record::Delivered(event) => {
                self.events.delivered(event);
            }
            Record::Key { key, result } => self.keys.put(&key, result),
            Record::Knobs(knobs) => self.knobs = *knobs,
            Record::Reset => *self = Self::default(),
        }
    }

    fn snapshot(&self) -> impl Iterator<Item = Record> {
        let knobs = Record::Knobs(Box::new(self.knobs.clone()));
        let intents = self.intents.values().map(|intent| Record::Intent(Box::new(intent.clone())));
        let events = self.events.all().map(|event| Record::Event(Box::new(event.clone())));
        let keys =
            self.keys.all().map(|(key, result)| Record::Key { key: key.to_owned(), result: result.clone() });
        std::iter::once(knobs).chain(intents).chain(events).chain(keys)
    }
}
