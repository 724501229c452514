//! What is told of payments, and of what they do to orders and stock.

use events::{Event, Fact};
use proto::events::v1::{OrderFact, OrderStatusChanged, PaymentFact};
use rls::Caller;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::stock::{self, StockChange};

/// Events of one transaction, recorded together at its end.
#[derive(Debug)]
pub(crate) struct Facts {
    actor: Caller,
    now: OffsetDateTime,
    events: Vec<Event>,
}

/// Which payment, or which order, and whose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose {
    pub(crate) payment_id: Uuid,
    pub(crate) order_id: i64,
    pub(crate) user_id: Option<i64>,
}

impl Facts {
    pub(crate) fn new(actor: Caller, now: OffsetDateTime) -> Self {
        Self { actor, now, events: Vec::new() }
    }

    /// When it happened.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.now
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// A payment moved on, or a part of it went back.
    pub(crate) fn payment(
        &mut self,
        whose: Whose,
        version: i64,
        amount: i64,
        status: &str,
        failure_code: Option<&str>,
    ) {
        self.push(
            version,
            Fact::PaymentChanged(PaymentFact {
                payment_id: whose.payment_id.to_string(),
                order_id: whose.order_id,
                user_id: whose.user_id,
                amount,
                status: status.to_owned(),
                failure_code: failure_code.map(str::to_owned),
            }),
        );
    }

    /// An order took a step.
    pub(crate) fn moved(
        &mut self,
        order_id: i64,
        user_id: Option<i64>,
        version: i64,
        old_status: &str,
        status: &str,
    ) {
        self.push(
            version,
            Fact::OrderStatusChanged(OrderStatusChanged {
                order_id,
                user_id,
                old_status: old_status.to_owned(),
                status: status.to_owned(),
                ..OrderStatusChanged::default()
            }),
        );
    }

    /// Something else of an order changed.
    pub(crate) fn updated(&mut self, order_id: i64, user_id: Option<i64>, version: i64, changed: &[&str]) {
        let changed = changed.iter().map(|&name| name.to_owned()).collect();
        self.push(version, Fact::OrderUpdated(OrderFact { order_id, user_id, changed }));
    }

    /// Stock was promised, taken or given back.
    pub(crate) fn stock(&mut self, changes: &[StockChange]) {
        self.events.extend(stock::events(&self.actor, self.now, changes));
    }

    /// Anything else.
    pub(crate) fn push(&mut self, version: i64, fact: Fact) {
        self.events.push(Event::new(&self.actor, self.now, version, fact));
    }
}
